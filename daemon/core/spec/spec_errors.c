/* Errors of specs as a list of plain values. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"
#include "daemon/core/spec/spec.h"

void spec_errors_add(struct spec_errors *errors, const char *file, size_t line, size_t column,
		     const char *path, const char *fmt, ...)
{
	struct spec_error *error;
	va_list ap;

	errors->v = xgrow(errors->v, errors->n, sizeof(*errors->v));
	error = &errors->v[errors->n++];
	*error = (struct spec_error){
		.file = xstrdup(file), .line = line, .column = column, .path = xstrdup(path)};
	va_start(ap, fmt);
	if (vasprintf(&error->message, fmt, ap) < 0)
		abort(); /* out of memory */
	va_end(ap);
}

char *spec_error_text(const struct spec_error *error)
{
	char place[64] = "";

	if (error->line && error->column)
		snprintf(place, sizeof(place), ":%zu:%zu", error->line, error->column);
	else if (error->line)
		snprintf(place, sizeof(place), ":%zu", error->line);
	return xasprintf("%s%s: %s%s%s", error->file, place, error->path, *error->path ? ": " : "",
			 error->message);
}

void spec_errors_clear(struct spec_errors *errors)
{
	for (size_t i = 0; i < errors->n; i++) {
		free(errors->v[i].file);
		free(errors->v[i].path);
		free(errors->v[i].message);
	}
	free(errors->v);
	*errors = (struct spec_errors){0};
}
