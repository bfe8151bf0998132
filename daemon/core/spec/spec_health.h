/*
 * What `healthCheck` needs beyond its rows: the text of caFile, and `insecure`,
 * which excludes a CA.
 */
#ifndef APILB_CORE_SPEC_HEALTH_H
#define APILB_CORE_SPEC_HEALTH_H

#include "daemon/core/spec/spec_fields.h"

/* The files that a document names. Each is read only once. */
struct spec_files;

struct spec_files *spec_files_new(const struct spec_context *context);
void spec_files_free(struct spec_files *files);
/* The files that could be read, for struct spec, which frees them. */
struct spec_source *spec_files_sources(const struct spec_files *files, size_t *n);

/* Reports errors of the healthCheck in `map`, which is the document or an instance. */
void spec_health_check(struct spec_files *files, const struct yaml_value *map, struct report *report);
/* Call after fields_fill. Fills in the text of caFile, and keeps either the CA or `insecure`. */
void spec_health_finish(const struct spec_files *files, struct spec_health_check *health,
			const struct spec_layers *layers, struct spec_merge *merge);

#endif
