/*
 * `healthCheck`, where it is more than its fields one by one: the CA and the
 * file that it may come from, and `insecure`, which is the opposite of a CA.
 */
#ifndef APILB_CORE_SPEC_HEALTH_H
#define APILB_CORE_SPEC_HEALTH_H

#include "daemon/core/spec/spec_fields.h"

/* The files that a document names. Each is read once. */
struct spec_files;

struct spec_files *spec_files_new(const struct spec_context *context);
void spec_files_free(struct spec_files *files);
/* What was read, for struct spec. The caller frees it as that does. */
struct spec_source *spec_files_sources(const struct spec_files *files, size_t *n);

/* Reports what is wrong with the healthCheck of a map, the document's or an instance's. */
void spec_health_check(struct spec_files *files, const struct yaml_value *map, struct report *report);
/* After the fields have been filled from the layers. */
void spec_health_settle(const struct spec_files *files, struct spec_health_check *health,
			const struct spec_layers *layers, struct spec_merge *merge);

#endif
