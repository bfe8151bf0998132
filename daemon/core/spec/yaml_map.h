/* Duplicate keys and merge keys, which yaml_tree.c resolves when a map is complete. */
#ifndef APILB_CORE_YAML_MAP_H
#define APILB_CORE_YAML_MAP_H

#include "daemon/core/spec/yaml_tree.h"

/*
 * Sets first_line of duplicate keys, then replaces merge keys (<<) by the pairs
 * of the merged maps. Returns NULL; or the value that cannot be merged, after
 * setting err.
 */
const struct yaml_value *yaml_map_finish(struct yaml_value *map, struct err *err);

#endif
