#include "tests/some_spec.h"

#include <check.h>
#include <string.h>

struct spec *spec_of(const char *yaml)
{
	const struct spec_context context = {.have_agent = true};
	struct spec_errors errors = {0};
	struct spec *spec = spec_parse("prod.yaml", yaml, strlen(yaml), &context, &errors);

	ck_assert_msg(spec != NULL, "%s", errors.n ? spec_error_text(&errors.v[0]) : "?");
	return spec;
}

struct wanted *wanted_of(const char *yaml)
{
	struct spec *spec = spec_of(yaml);
	struct wanted *wanted = wanted_new("apilb", spec->name, &spec->instances[0], NULL);

	spec_free(spec);
	return wanted;
}
