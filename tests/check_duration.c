/* Durations are Go's: https://pkg.go.dev/time#ParseDuration */
#include <check.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/duration.h"
#include "tests/suite.h"

#define US 1000
#define MS (1000 * INT64_C(1000))
#define S (1000 * MS)
#define M (60 * S)
#define H (60 * M)

static const struct {
	const char *text;
	int64_t ns;
} good[] = {
	{"0", 0},
	{"+0", 0},
	{"-0", 0},
	{"5s", 5 * S},
	{"30s", 30 * S},
	{"1478s", 1478 * S},
	{"-5s", -5 * S},
	{"+5s", 5 * S},
	{"5.0s", 5 * S},
	{"5.6s", 5 * S + 600 * MS},
	{"5.s", 5 * S},
	{".5s", 500 * MS},
	{"-.5s", -500 * MS},
	{"1.0s", 1 * S},
	{"1.00s", 1 * S},
	{"1.004s", 1 * S + 4 * MS},
	{"1.0040s", 1 * S + 4 * MS},
	{"100.00100s", 100 * S + 1 * MS},
	{"007s", 7 * S},
	{"0s", 0},
	{"10ns", 10},
	{"11us", 11 * US},
	{"12\xc2\xb5s", 12 * US},
	{"12\xce\xbcs", 12 * US},
	{"13ms", 13 * MS},
	{"14s", 14 * S},
	{"15m", 15 * M},
	{"16h", 16 * H},
	{"3h30m", 3 * H + 30 * M},
	{"1m30s", 1 * M + 30 * S},
	{"10.5s4m", 4 * M + 10 * S + 500 * MS},
	{"-2m3.4s", -(2 * M + 3 * S + 400 * MS)},
	{"1h2m3s4ms5us6ns", 1 * H + 2 * M + 3 * S + 4 * MS + 5 * US + 6},
	{"39h9m14.425s", 39 * H + 9 * M + 14 * S + 425 * MS},
	{"1s1s", 2 * S},
	{"52763797000ns", INT64_C(52763797000)},
	/* a third of an hour is not lost for want of digits */
	{"0.3333333333333333333h", 20 * M},
	/* 2^53 + 1 does not fit a double */
	{"9007199254740993ns", INT64_C(9007199254740993)},
	{"9223372036854775807ns", INT64_MAX},
	{"9223372036854775.807us", INT64_MAX},
	{"9223372036s854ms775us807ns", INT64_MAX},
	{"-9223372036854775808ns", INT64_MIN},
	{"-9223372036854775.808us", INT64_MIN},
	{"-9223372036s854ms775us808ns", INT64_MIN},
	{"-2562047h47m16.854775808s", INT64_MIN},
	/* too many digits after the point are read and change nothing */
	{"0.100000000000000000000h", 6 * M},
	{"0.830103483285477580700h", 49 * M + 48 * S + INT64_C(372539827)},
	{"0.00000000000000000000000000000001s", 0},
};

static const struct {
	const char *text, *why;
} bad[] = {
	{"", "nothing is given"},
	{"-", "nothing is given"},
	{"+", "nothing is given"},
	{"3", "a unit is missing"},
	{"00", "a unit is missing"},
	{"1.5", "a unit is missing"},
	{"1..5s", "a unit is missing"},
	{"1s2", "a unit is missing"},
	{"s", "a number is missing"},
	{".", "a number is missing"},
	{"-.", "a number is missing"},
	{".s", "a number is missing"},
	{"+.s", "a number is missing"},
	{"-.s", "a number is missing"},
	{"--1s", "a number is missing"},
	{" 1s", "a number is missing"},
	{"1s ", "unknown unit"},
	{"1d", "unknown unit"},
	{"1S", "unknown unit"},
	{"1 s", "unknown unit"},
	{"1e3s", "unknown unit"},
	{"0x1s", "unknown unit"},
	{"1min", "unknown unit"},
	{"\x85\x85", "a number is missing"},
	{"1\xff\xffs", "unknown unit"},
	{"3000000h", "too long"},
	{"9223372036854775808ns", "too long"},
	{"9223372036854775.808us", "too long"},
	{"9223372036854ms775us808ns", "too long"},
	{"-9223372036854775809ns", "too long"},
	{"99999999999999999999s", "too long"},
	{"18446744073709551616ns", "too long"},
	{"9223372036854775808ns9223372036854775808ns", "too long"},
	{"-9223372036854775808ns1ns", "too long"},
};

START_TEST(a_duration_that_go_reads)
{
	int64_t ns = -1;
	struct err err;

	ck_assert_msg(duration_parse(good[_i].text, &ns, &err) == 0, "\"%s\"", good[_i].text);
	ck_assert_msg(ns == good[_i].ns, "\"%s\": %" PRId64 " instead of %" PRId64, good[_i].text, ns,
		      good[_i].ns);
}
END_TEST

START_TEST(a_duration_that_go_refuses)
{
	struct err err;
	int64_t ns;

	ck_assert_msg(duration_parse(bad[_i].text, &ns, &err) == -1, "\"%s\"", bad[_i].text);
	ck_assert_int_eq(err.kind, ERR_SPEC);
	ck_assert_msg(strstr(err.message, bad[_i].why), "\"%s\": %s", bad[_i].text, err.message);
	ck_assert_ptr_nonnull(strstr(err.message, "\"1m30s\""));
}
END_TEST

START_TEST(milliseconds_never_become_no_time_at_all)
{
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = {
		{"0", 0},     {"1ms", 1},    {"1ns", 1},   {"999999ns", 1},
		{"1s", 1000}, {"1001us", 2}, {"-1ns", -1}, {"2562047h", INT64_C(9223369200000)},
	};
	struct err err;
	int64_t ms;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_int_eq(duration_parse_ms(cases[i].text, &ms, &err), 0);
		ck_assert_int_eq(ms, cases[i].ms);
	}
	ck_assert_int_eq(duration_parse_ms("1", &ms, &err), -1);
}
END_TEST

START_TEST(people_see_at_most_two_units)
{
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {
		{0, "0s"},
		{250, "250ms"},
		{1000, "1s"},
		{45999, "45s"},
		{192000, "3m12s"},
		{180000, "3m"},
		{5 * 3600000, "5h"},
		{5 * 3600000 + 59999, "5h"},
		{5 * 3600000 + 60000, "5h1m"},
		{INT64_C(12) * 86400000, "12d"},
		{INT64_C(12) * 86400000 + 7200000, "12d2h"},
		{-45000, "-45s"},
		{-250, "-250ms"},
		{INT64_MAX, "106751991167d7h"},
		{INT64_MIN, "-106751991167d7h"},
	};
	char buf[32];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_str_eq(duration_human(cases[i].ms, buf, sizeof(buf)), cases[i].text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("duration");
	TCase *parsing = tcase_create("parsing");
	TCase *printing = tcase_create("printing");

	tcase_add_loop_test(parsing, a_duration_that_go_reads, 0, N(good));
	tcase_add_loop_test(parsing, a_duration_that_go_refuses, 0, N(bad));
	tcase_add_test(parsing, milliseconds_never_become_no_time_at_all);
	tcase_add_test(printing, people_see_at_most_two_units);
	suite_add_tcase(suite, parsing);
	suite_add_tcase(suite, printing);
	return suite_run(suite);
}
