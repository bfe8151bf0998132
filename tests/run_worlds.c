#include "tests/run_worlds.h"

#include <check.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* Each is how the world is changed after all was well, and runs until it is so again. */

void change_servers(struct place *place)
{
	place_want(place, OLD, "7443", "'192.0.2.1:6443', '192.0.2.3:6443'");
}

void change_image(struct place *place)
{
	place_want(place, NEW, "7443", "'192.0.2.1:6443', '192.0.2.2:6443'");
}

static void change_port(struct place *place)
{
	place_want(place, OLD, "7444", "'192.0.2.1:6443', '192.0.2.2:6443'");
}

void change_image_and_servers(struct place *place)
{
	place_want(place, NEW, "7443", "'192.0.2.3:6443'");
}

void change_image_to_be_pulled(struct place *place)
{
	place_want(place, "registry.example.org/haproxy:3.1", "7443", "'192.0.2.1:6443', '192.0.2.2:6443'");
}

static void not_wanted(struct place *place)
{
	place_want(place, NULL, NULL, NULL);
}

void container_removed(struct place *place)
{
	fake_remove(&place->machine, place_balancer(place));
}

void never_made(struct place *place)
{
	fake_remove(&place->machine, place_balancer(place));
	fake_file_remove(&place->machine, CONFIG);
	fake_file_remove(&place->machine, "/etc/haproxy-lb");
	fake_file_remove(&place->machine, "/var/lib/apilb/lb");
	place_forget(place);
}

void container_stopped(struct place *place)
{
	fake_end(place_balancer(place), 0);
}

void container_paused(struct place *place)
{
	place_balancer(place)->status = FAKE_PAUSED;
}

/* Its directory was deleted, and the engine has made another one: what it goes on with leads nowhere. */
void paused_without_socket(struct place *place)
{
	container_paused(place);
	fake_engine_gag(place->engine, fake_token(place_balancer(place)), MOUTH_REFUSES);
	for (struct fake_file *file = place->machine.files; file; file = file->next)
		if (strncmp(file->path, "/var/lib/apilb/lb/guard", strlen("/var/lib/apilb/lb/guard")) == 0) {
			fake_file_remove(&place->machine, file->path);
			return;
		}
	ck_abort_msg("there is no guard");
}

struct fake_container *place_rename(struct place *place, const char *name)
{
	struct fake_container *container = place_balancer(place);

	free(container->name);
	container->name = xstrdup(name);
	return container;
}

static void called_otherwise(struct place *place)
{
	place_rename(place, "somehow");
}

void file_edited(struct place *place)
{
	fake_file_write(&place->machine, CONFIG, "# mine\n", strlen("# mine\n"), 0644);
}

static void file_removed(struct place *place)
{
	fake_file_remove(&place->machine, CONFIG);
}

static void file_hidden(struct place *place)
{
	fake_file_find(&place->machine, CONFIG)->mode = 0600;
}

static void made_otherwise(struct place *place)
{
	json_object_object_add(place_balancer(place)->request, "StopSignal",
			       json_object_new_string("SIGTERM"));
}

static void made_by_another_user(struct place *place)
{
	json_object_object_add(place_balancer(place)->request, "User", json_object_new_string("0"));
}

static void old_config_loaded(struct place *place)
{
	struct fake_container *container = place_balancer(place);
	char *other = xstrdup(container->loaded);

	memcpy(strstr(other, "description \"apilb ") + strlen("description \"apilb "), "0000", 4);
	free(container->loaded);
	container->loaded = other;
}

/* By hand, from what `docker inspect` said: without the directory of the stats socket. */
static void made_anew_without_a_mount(struct place *place)
{
	struct json_object *request = NULL, *binds = NULL;
	struct fake_container *anew;

	json_object_deep_copy(place_balancer(place)->request, &request, NULL);
	ck_assert_int_eq(json_pointer_get(request, "/HostConfig/Binds", &binds), 0);
	for (size_t i = json_object_array_length(binds); i-- > 0;)
		if (strstr(json_object_get_string(json_object_array_get_idx(binds, i)), "/var/lib/apilb/lb"))
			json_object_array_del_idx(binds, i, 1);
	fake_remove(&place->machine, place_balancer(place));
	anew = fake_create(&place->machine, "lb", request);
	fake_start(&place->machine, anew);
	ck_assert_int_eq(anew->status, FAKE_RUNNING);
}

/* And its spec is gone meanwhile. */
static void made_anew_and_not_wanted(struct place *place)
{
	made_anew_without_a_mount(place);
	place_forget(place);
	not_wanted(place);
}

const struct world worlds[WORLDS] = {
	{"image changed", change_image, SERVES},
	{"port changed", change_port, SERVES},
	{"image and servers changed", change_image_and_servers, SERVES},
	{"image changed, connections last", change_image, SERVES | LASTING},
	{"servers changed, connections last", change_servers, SERVES | LASTING},
	{"image must be pulled", change_image_to_be_pulled, SERVES},
	{"not wanted any more", not_wanted, 0},
	{"never made", never_made, 0},
	{"container removed", container_removed, 0},
	{"container stopped", container_stopped, 0},
	{"container paused", container_paused, 0},
	{"container paused, its socket gone", paused_without_socket, 0},
	{"config edited", file_edited, SERVES},
	{"config removed", file_removed, SERVES},
	{"config hidden", file_hidden, SERVES},
	{"made otherwise", made_otherwise, SERVES},
	/* Two users cannot share a port: the one has to go before the other comes. */
	{"made by another user", made_by_another_user, 0},
	{"made anew by hand", made_anew_without_a_mount, SERVES},
	{"made anew by hand, not wanted", made_anew_and_not_wanted, 0},
	{"another config loaded", old_config_loaded, SERVES},
	{"called otherwise", called_otherwise, SERVES},
	{"called otherwise, connections last", called_otherwise, SERVES | LASTING},
	{"image changed, with Podman", change_image, SERVES | PODMAN},
	{"image changed, with Podman, connections last", change_image, SERVES | PODMAN | LASTING},
	{"made otherwise, with Podman", made_otherwise, SERVES | PODMAN},
	{"called otherwise, with Podman", called_otherwise, SERVES | PODMAN},
};

/* Brings a place to where the change of the world begins, and makes it. */
void world_enter(struct place *place, const struct world *world)
{
	place_begin(place, world->flags);
	place->machine.lasting = world->flags & LASTING;
	world->change(place);
}

void expect_no_outage(const struct place *place, const struct world *world, const char *when)
{
	ck_assert_msg(!(world->flags & SERVES) || fake_engine_outages(place->engine) == 0,
		      "%s: an outage\n%s\n%s", when, place->told, place->machine.history);
}
