#include "tests/some_spec.h"

#include <check.h>
#include <string.h>

struct spec *parse_spec(const char *yaml)
{
	const struct spec_context context = {.have_agent = true};
	struct spec_errors errors = {0};
	struct spec *spec = spec_parse("prod.yaml", yaml, strlen(yaml), &context, &errors);

	ck_assert_msg(spec != NULL, "%s", errors.n ? spec_error_text(&errors.v[0]) : "?");
	return spec;
}

struct wanted *parse_wanted(const char *yaml)
{
	struct spec *spec = parse_spec(yaml);
	struct wanted *wanted;

	ck_assert_uint_gt(spec->instances_n, 0);
	wanted = wanted_new("apilb", spec->name, &spec->instances[0], NULL);
	spec_free(spec);
	return wanted;
}
