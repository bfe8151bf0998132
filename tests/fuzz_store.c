/* What the store has of a host, of an instance, and of what is remembered of it: written by an older or newer
 * apilbd, or damaged. */
#include "daemon/core/haproxy/haproxy.h"
#include "daemon/core/memory/memory.h"
#include "daemon/core/spec/spec.h"
#include "tests/fuzz.h"

static void check_host(const char *json)
{
	struct spec_host host, again;
	struct err err = {0};
	char *text;

	if (spec_host_from_json(&host, json, &err) < 0) {
		require(*err.message != '\0');
		return;
	}
	require(host.url && host.label && host.engine);
	text = spec_host_to_json(&host);
	require(spec_host_from_json(&again, text, &err) == 0 && spec_host_equal(&host, &again));
	free(text);
	spec_host_clear(&again);
	spec_host_clear(&host);
}

static void check_instance(const char *json)
{
	struct spec_host host;
	struct spec_instance instance, again;
	struct err err = {0};
	char *text;

	require(spec_host_from_json(&host, "{\"engine\":\"unix:///run/docker.sock\"}", &err) == 0);
	if (spec_instance_from_json(&instance, &host, json, &err) == 0) {
		text = haproxy_render(&instance, "apilb");
		require(*text != '\0');
		free(text);
		text = spec_instance_to_json(&instance);
		require(spec_instance_from_json(&again, &host, text, &err) == 0);
		require(spec_instance_equal(&instance, &again));
		free(text);
		spec_instance_clear(&again);
		spec_instance_clear(&instance);
	} else {
		require(*err.message != '\0');
	}
	spec_host_clear(&host);
}

/* What is believed of it is written down as it is, and believed again. */
static void check_memory(const char *json)
{
	const struct silence_clock now = {.ms = 1, .unix_ms = 1767323045000};
	struct memory memory, again;
	char *text;

	memory_init(&memory);
	memory_init(&again);
	memory_recall(&memory, json, now);
	text = memory_to_json(&memory);
	memory_recall(&again, text, now);
	require(memory_is_recorded(&memory, &again));
	require(silence_lasts_ms(&memory.silence, now.ms) >= 0);
	free(text);
	memory_clear(&memory);
	memory_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned choice = fuzz_choice(&data, &size);
	char *json = fuzz_text(data, size);

	check_memory(json);
	if (choice & 1)
		check_instance(json);
	else
		check_host(json);
	free(json);
	return 0;
}
