/* What every suite needs. */
#ifndef APILB_TESTS_SUITE_H
#define APILB_TESTS_SUITE_H

#include <check.h>
#include <stdlib.h>

/* How many rows a table has: for tcase_add_loop_test. */
#define N(table) ((int)(sizeof(table) / sizeof((table)[0])))

/* The end of main(): runs the suite, and returns the exit status. */
static inline int suite_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
