/*
 * The fleet and the spec directory: when it is read, and who waits for that.
 *
 * The directory's file system may hang, so only a thread touches it, and there is at most one such thread.
 * First a thread asks what has changed (watch_ask). If a look is due, and the directory has settled, a look
 * follows: a thread reads the files (spec_look_read), the loop takes in what was found, in slices
 * (specs_update_files), and then the specs are applied. If no look is due and nothing has changed, those who
 * wait are served at once.
 */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"
#include "daemon/fleet/fleet_internal.h"
#include "daemon/io/background.h"
#include "daemon/io/clock.h"
#include "daemon/io/watch/watch.h"

/* The name, in the store, of the place of the directory that the specs came from (watch_place). */
#define META_SPEC_DIR "spec-dir"

/* The directory hangs if the thread has no answer, or has got on with no further file, for STEP_PATIENCE_MS.
 * Nobody waits longer than LOOK_PATIENCE_MS, even for looks that get on, dropped ones included: a thousand
 * large files take some seconds. */
#define STEP_PATIENCE_MS 5000
#define LOOK_PATIENCE_MS 30000
/* How often the loop looks whether the thread has got on. */
#define STEP_INTERVAL_MS 500

/* The most looks in a row that are dropped since something has changed meanwhile. */
#define LOOKS_DROPPED_MAX 3

/* Whether an empty directory means that all specs are gone depends on which directory it is (watch_end): so
 * its place must survive a restart. */
void fleet_directory_recall(struct fleet *fleet)
{
	char *place = store_get_meta(fleet->options.store, META_SPEC_DIR);
	size_t n;

	specs_files(fleet->specs, &n);
	if (n > 0)
		watch_expect(fleet->watch, place ? place : "");
	free(place);
}

static void remember_directory(struct fleet *fleet)
{
	const char *place = watch_place(fleet->watch);
	char *known = store_get_meta(fleet->options.store, META_SPEC_DIR);

	if (place && !text_equal(known, place))
		store_put_meta(fleet->options.store, META_SPEC_DIR, place);
	free(known);
}

/* Tells errors in slices, since a thousand files may have a hundred errors each. */
static void on_tell(evutil_socket_t fd, short what, void *arg)
{
	struct fleet *fleet = arg;

	(void)fd;
	(void)what;
	if (specs_tell(fleet->specs))
		evtimer_add(fleet->tell, &(struct timeval){0});
}

void fleet_tell_all(struct fleet *fleet)
{
	while (specs_tell(fleet->specs))
		continue;
}

static void tell_directory(struct fleet *fleet, const struct err *err)
{
	if (err->kind == ERR_NONE) {
		if (fleet->directory_error)
			events_add(fleet->options.events, LOG_LEVEL_INFO, NULL, NULL, "spec-dir",
				   "the spec directory can be read again");
		FREE(fleet->directory_error);
	} else if (!fleet->directory_error || strcmp(fleet->directory_error, err->message) != 0) {
		events_add(fleet->options.events, LOG_LEVEL_ERROR, NULL, NULL, "spec-dir",
			   "%s; what was in force stays in force", err->message);
		free(fleet->directory_error);
		fleet->directory_error = xstrdup(err->message);
	}
}

static void move_waiters(struct fleet_waiters *from, struct fleet_waiters *to)
{
	struct fleet_waiter *waiter;

	TAILQ_FOREACH (waiter, from, entry)
		waiter->queue = to;
	TAILQ_CONCAT(to, from, entry);
}

/* The waiters are moved out first: their callbacks may begin the next look, for which others then wait. */
static void end_waiting(struct fleet_waiters *waiters, bool loaded)
{
	struct fleet_waiters told = TAILQ_HEAD_INITIALIZER(told);
	struct fleet_waiter *waiter;

	move_waiters(waiters, &told);
	while ((waiter = TAILQ_FIRST(&told)) != NULL) {
		TAILQ_REMOVE(&told, waiter, entry);
		waiter->queue = NULL;
		waiter->loaded(waiter->arg, loaded);
	}
}

/* The thread. */

static void go_on(struct fleet *fleet);

/* When the directory hangs, unless the thread gets on. */
static int64_t patience_ends_ms(const struct fleet *fleet)
{
	int64_t look_ms = fleet->awaited_since_ms + LOOK_PATIENCE_MS;
	int64_t step_ms = fleet->got_on_ms + STEP_PATIENCE_MS;

	/* --once has nothing else to do, and an error would end it. */
	return fleet->options.settings->once || look_ms < step_ms ? look_ms : step_ms;
}

static void set_patience(struct fleet *fleet)
{
	int64_t left_ms = patience_ends_ms(fleet) - clock_ms();
	struct timeval delay = clock_timeval(left_ms < STEP_INTERVAL_MS ? left_ms : STEP_INTERVAL_MS);

	if (!fleet->hangs)
		evtimer_add(fleet->patience, &delay);
}

static void wait_patiently(struct fleet *fleet)
{
	fleet->got_on_ms = clock_ms();
	if (!fleet->awaited_since_ms)
		fleet->awaited_since_ms = fleet->got_on_ms;
	set_patience(fleet);
}

static void start_thread(struct fleet *fleet, background_work *work, void *material, void (*done)(void *arg))
{
	move_waiters(&fleet->waiters, &fleet->served);
	fleet->answered_n = atomic_load(&fleet->view->answered_n);
	wait_patiently(fleet);
	fleet->thread = background_start(fleet->options.base, work, material, done, fleet);
}

static void end_thread(struct fleet *fleet)
{
	fleet->thread = NULL;
	watch_take_back(fleet->watch, fleet->view);
	fleet->view = NULL;
	wait_patiently(fleet);
}

/* The directory has answered everything: nobody waits for it any more. */
static void end_patience(struct fleet *fleet)
{
	fleet->awaited_since_ms = 0;
	fleet->hangs = false;
	evtimer_del(fleet->patience);
}

/* Whether the thread has got on with more files lately, and LOOK_PATIENCE_MS are not over. */
static bool gets_on(struct fleet *fleet)
{
	size_t before = fleet->answered_n;

	if (fleet->view)
		fleet->answered_n = atomic_load(&fleet->view->answered_n);
	if (fleet->answered_n > before)
		fleet->got_on_ms = clock_ms();
	return clock_ms() < patience_ends_ms(fleet);
}

/* The directory could not be read in time: what was in force stays so, and those who wait are served with an
 * error in the status. */
static void on_hangs(evutil_socket_t fd, short what, void *arg)
{
	struct fleet *fleet = arg;
	struct err err;

	(void)fd;
	(void)what;
	/* Before the first fleet_load() nobody waits, and nothing may be applied. */
	if (!fleet->load_begun) {
		wait_patiently(fleet);
		return;
	}
	if (gets_on(fleet)) {
		set_patience(fleet);
		return;
	}
	fleet->hangs = true;
	err_set(&err, ERR_TRANSIENT,
		"spec directory %s could not be read for %d s: does its file system hang? Or that of a "
		"link's target, or of a file that a spec names? Or does the directory never stop "
		"changing? See the mounts (findmnt); it is read as soon as it answers",
		fleet->options.settings->spec_dir,
		(int)((clock_ms() - fleet->awaited_since_ms + 500) / 1000));
	tell_directory(fleet, &err);
	fleet->holding++;
	if (!fleet->ready)
		fleet_apply_specs(fleet);
	fleet->ready = true;
	end_waiting(&fleet->served, true);
	end_waiting(&fleet->waiters, true);
	fleet->holding--;
	fleet_fill_places(fleet);
}

/* A look. */

/* Waiters are served before any host runs: a plan must show what an edit will do, not what it has done. */
static void end_look(struct fleet *fleet, bool changed)
{
	fleet->look = NULL;
	fleet->holding++;
	on_tell(-1, 0, fleet);
	if (changed || !fleet->ready)
		fleet_apply_specs(fleet);
	fleet->ready = true;
	end_waiting(&fleet->served, true);
	go_on(fleet);
	fleet->holding--;
	fleet_fill_places(fleet);
}

static void on_take_in(evutil_socket_t fd, short what, void *arg)
{
	struct fleet *fleet = arg;
	/* After the first look containers may be removed, even if all files are as the store had them. */
	bool changed = !specs_have_looked(fleet->specs);

	(void)fd;
	(void)what;
	if (specs_update_files(fleet->update)) {
		evtimer_add(fleet->take_in, &(struct timeval){0});
		return;
	}
	changed |= specs_update_end(fleet->update);
	fleet->update = NULL;
	remember_directory(fleet);
	end_look(fleet, changed);
}

/*
 * A file that has changed meanwhile may have been read half written, and half a
 * file may be a valid, shorter spec. So the look is dropped for another one,
 * unless the directory never settles.
 */
static bool drop_look(struct fleet *fleet)
{
	if ((!fleet->due && !watch_settling(fleet->watch)) || fleet->looks_dropped == LOOKS_DROPPED_MAX) {
		fleet->looks_dropped = 0;
		return false;
	}
	fleet->looks_dropped++;
	spec_look_free(fleet->look);
	fleet->look = NULL;
	move_waiters(&fleet->served, &fleet->waiters);
	/* If no look is due yet, one will be when the directory has settled (on_changed). */
	go_on(fleet);
	return true;
}

static void on_read(void *arg)
{
	struct fleet *fleet = arg;
	struct err err = {0};
	bool is_there = watch_end(fleet->watch, &fleet->look->listing, &err) == 0;

	end_thread(fleet);
	if (fleet->look->changed && !watch_settling(fleet->watch))
		watch_settle(fleet->watch);
	if (is_there && drop_look(fleet))
		return;
	end_patience(fleet);
	tell_directory(fleet, &err);
	if (is_there) {
		watch_accept(fleet->watch, &fleet->look->listing);
		fleet->update = specs_update_begin(fleet->specs, fleet->look);
		on_take_in(-1, 0, fleet);
	} else {
		spec_look_free(fleet->look);
		end_look(fleet, false);
	}
}

static void note_recorded(struct fleet *fleet, struct spec_look *look)
{
	struct fleet_walk walk = {.fleet = fleet};

	while (fleet_next(&walk))
		spec_look_record(look, instance_identity(walk.instance)->spec);
}

static void begin_look(struct fleet *fleet)
{
	fleet->due = false;
	watch_begin(fleet->watch);
	fleet->view = watch_lend(fleet->watch);
	fleet->look = specs_look(fleet->specs, fleet->options.settings->spec_dir);
	fleet->look->view = fleet->view;
	note_recorded(fleet, fleet->look);
	start_thread(fleet, spec_look_read, fleet->look, on_read);
}

/* Before a look: asking what has changed. */

/* True when a change may be only half of what is being written. On a file system with our clock, the change's
 * age tells; on one with another clock, the directory is given the time to settle once. */
static bool may_be_half(const struct fleet *fleet, const struct watch_view *view)
{
	if (!fleet->due)
		return view->changed;
	return view->young || (view->changed && !watch_has_settled(fleet->watch));
}

static void on_answer(void *arg)
{
	struct fleet *fleet = arg;
	const struct watch_view *view = fleet->view;

	end_thread(fleet);
	/* After a hang anything may have changed. */
	fleet->due |= fleet->hangs;
	if (may_be_half(fleet, view) && !watch_settling(fleet->watch))
		watch_settle(fleet->watch);
	if (fleet->due && !(watch_settling(fleet->watch) && watch_is_patient(fleet->watch))) {
		begin_look(fleet);
	} else if (watch_settling(fleet->watch)) {
		move_waiters(&fleet->served, &fleet->waiters);
	} else {
		end_patience(fleet);
		end_waiting(&fleet->served, true);
		go_on(fleet);
	}
}

static void ask(struct fleet *fleet)
{
	fleet->view = watch_lend(fleet->watch);
	start_thread(fleet, watch_ask, fleet->view, on_answer);
}

/* Starts the next thread, if one is needed: not while another thread or a look is under way, and not while
 * the directory settles. */
static void go_on(struct fleet *fleet)
{
	if (fleet->thread || fleet->look || (watch_settling(fleet->watch) && watch_is_patient(fleet->watch)))
		return;
	if (fleet->due || !TAILQ_EMPTY(&fleet->waiters))
		ask(fleet);
}

void fleet_load(struct fleet *fleet)
{
	fleet->load_begun = true;
	fleet->due = true;
	go_on(fleet);
}

bool fleet_wait(struct fleet *fleet, struct fleet_waiter *waiter)
{
	if (fleet->hangs || !fleet->load_begun)
		return false;
	waiter->queue = &fleet->waiters;
	TAILQ_INSERT_TAIL(waiter->queue, waiter, entry);
	go_on(fleet);
	return true;
}

void fleet_wait_cancel(struct fleet *fleet, struct fleet_waiter *waiter)
{
	(void)fleet;
	TAILQ_REMOVE(waiter->queue, waiter, entry);
}

/* The directory has changed, and has settled, or has not for WATCH_SETTLE_MAX_MS. */
static void on_changed(void *arg)
{
	struct fleet *fleet = arg;

	if (fleet->load_begun)
		fleet_load(fleet);
}

static void on_rescan(evutil_socket_t fd, short what, void *arg)
{
	struct fleet *fleet = arg;

	(void)fd;
	(void)what;
	if (fleet->ready)
		fleet_load(fleet);
}

/* Making and freeing. */

void fleet_directory_init(struct fleet *fleet)
{
	const struct fleet_options *options = &fleet->options;

	TAILQ_INIT(&fleet->waiters);
	TAILQ_INIT(&fleet->served);
	fleet->watch = watch_new(options->base, options->settings->spec_dir, on_changed, fleet);
	fleet->take_in = evtimer_new(options->base, on_take_in, fleet);
	fleet->patience = evtimer_new(options->base, on_hangs, fleet);
	fleet->tell = evtimer_new(options->base, on_tell, fleet);
	fleet->rescan = event_new(options->base, -1, EV_PERSIST, on_rescan, fleet);
	/* Sets the watches now, so that changes before the first look are told. */
	ask(fleet);
}

void fleet_directory_stop(struct fleet *fleet)
{
	bool ended = background_cancel(fleet->thread);

	if (ended && fleet->view)
		watch_take_back(fleet->watch, fleet->view);
	if (fleet->update)
		specs_update_cancel(fleet->update);
	else if (ended)
		spec_look_free(fleet->look);
	end_waiting(&fleet->served, false);
	end_waiting(&fleet->waiters, false);
}

void fleet_directory_clear(struct fleet *fleet)
{
	event_free(fleet->take_in);
	event_free(fleet->patience);
	event_free(fleet->tell);
	event_free(fleet->rescan);
	watch_free(fleet->watch);
	free(fleet->directory_error);
}
