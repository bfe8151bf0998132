/* What yaml_tree.c does to a map that is complete: duplicates and merge keys. */
#ifndef APILB_CORE_YAML_MAP_H
#define APILB_CORE_YAML_MAP_H

#include "daemon/core/spec/yaml_tree.h"

/*
 * Marks keys that are given twice, then puts the pairs of merged maps (<<) in
 * the place of the merge keys. Returns NULL, or the value that cannot be merged
 * after setting err.
 */
const struct yaml_value *yaml_map_finish(struct yaml_value *map, struct err *err);

#endif
