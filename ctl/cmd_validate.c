/* apilbctl validate */
#include <json-c/json.h>
#include <stdio.h>

#include "ctl/ctl.h"
#include "ctl/spec_file.h"

static void print_table(const struct spec_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		printf("%s: valid, %zu balancer%s\n", list->specs[i]->file, list->specs[i]->instances_n,
		       list->specs[i]->instances_n == 1 ? "" : "s");
	fflush(stdout);
	spec_list_print_errors(list);
}

/* The same form as that of a spec's errors in the status. */
static struct json_object *error_json(const struct spec_error *error)
{
	struct json_object *json = json_object_new_object();

	json_object_object_add(json, "file", json_object_new_string(error->file));
	json_object_object_add(json, "line", json_object_new_uint64(error->line));
	json_object_object_add(json, "column", json_object_new_uint64(error->column));
	json_object_object_add(json, "path", json_object_new_string(error->path));
	json_object_object_add(json, "message", json_object_new_string(error->message));
	return json;
}

static void print_json(const struct ctl *ctl, const struct spec_list *list)
{
	struct json_object *json = json_object_new_object(), *errors = json_object_new_array();

	for (size_t i = 0; i < list->errors.n; i++)
		json_object_array_add(errors, error_json(&list->errors.v[i]));
	json_object_object_add(json, "valid", json_object_new_boolean(list->errors.n == 0));
	json_object_object_add(json, "errors", errors);
	print_value(ctl, json);
	json_object_put(json);
}

int run_validate(struct ctl *ctl, char **arguments, size_t n, struct err *err)
{
	struct spec_list list = {.n = 0};
	bool valid;

	(void)err;
	for (size_t i = 0; i < n; i++)
		spec_list_add(&list, arguments[i]);
	spec_check_fleet((const struct spec *const *)list.specs, list.n, &list.errors);
	if (ctl->options.output == OUTPUT_TABLE)
		print_table(&list);
	else
		print_json(ctl, &list);
	valid = list.errors.n == 0;
	spec_list_clear(&list);
	return valid ? EXIT_DONE : EXIT_USAGE;
}
