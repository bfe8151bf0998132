/* What single values of a spec may look like, in tables. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/spec/spec.h"
#include "daemon/core/spec/spec_syntax.h"
#include "daemon/core/spec/ssh_key.h"
#include "tests/suite.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* Values: what is accepted, what not. */

static int address_check(const char *text, struct err *err)
{
	char *address;
	int rc = address_parse(text, &address, err);

	free(address);
	return rc;
}

static const struct {
	int (*check)(const char *, struct err *);
	bool good;
	const char *text;
} values[] = {
	{syntax_image, true, "haproxy"},
	{syntax_image, true, "haproxy:3.2.21-alpine"},
	{syntax_image, true, "library/haproxy:latest"},
	{syntax_image, true, "registry.example.com:5000/a/b__c/d-e.f:V1_2"},
	{syntax_image, true, "localhost/haproxy"},
	{syntax_image, true, "[2001:db8::1]:5000/haproxy"},
	{syntax_image, true, "Registry/haproxy"},
	{syntax_image, true,
	 "haproxy@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
	{syntax_image, true,
	 "haproxy:3.2@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
	{syntax_image, false, "HAProxy"},
	{syntax_image, false, "haproxy:"},
	{syntax_image, false, "haproxy:-1"},
	{syntax_image, false, ":3.2"},
	{syntax_image, false, "haproxy@sha256:0123"},
	{syntax_image, false, "haproxy 3.2"},
	{syntax_image, false, "haproxy:3.2\n"},
	{syntax_image, false, "a//b"},
	{syntax_image, false, "/haproxy"},
	{syntax_image, false, "-haproxy"},
	{syntax_image, false, "hap..roxy"},
	{syntax_image, false, "https://docker.io/haproxy"},
	{syntax_container_name, true, "api-loadbalancer-haproxy"},
	{syntax_container_name, true, "a1"},
	{syntax_container_name, true, "A_b.c-"},
	{syntax_container_name, false, "a"},
	{syntax_container_name, false, "-ab"},
	{syntax_container_name, false, ".ab"},
	{syntax_container_name, false, "_ab"},
	{syntax_container_name, false, "a/b"},
	{syntax_container_name, false, "a b"},
	{syntax_container_name, false, "a\nb"},
	{syntax_container_name, false, "b\xc3\xa4r"},
	{syntax_container_id, true, "0123456789ab"},
	{syntax_container_id, true, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
	{syntax_container_id, false, "0123456789a"},
	{syntax_container_id, false, "0123456789AB"},
	{syntax_container_id, false, "0123456789ab/../x"},
	{syntax_container_id, false, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0"},
	{syntax_config_path, true, "/etc/haproxy/haproxy.cfg"},
	{syntax_config_path, true, "/x.cfg"},
	{syntax_config_path, true, "/etc/my balancer/..cfg"},
	{syntax_config_path, false, "etc/haproxy.cfg"},
	{syntax_config_path, false, "/"},
	{syntax_config_path, false, "/etc/"},
	{syntax_config_path, false, "/etc//haproxy.cfg"},
	{syntax_config_path, false, "/etc/./haproxy.cfg"},
	{syntax_config_path, false, "/etc/../haproxy.cfg"},
	{syntax_config_path, false, "/etc/.."},
	{syntax_config_path, false, "/etc/a:b"},
	{syntax_config_path, false, "/etc/a\nb"},
	{syntax_config_path, false, "/etc/a\x7f"},
	{syntax_config_path, true, "/etc/haproxy-apilb/haproxy.cfg"},
	{syntax_config_path, true, "/etc/haproxy/errors/x"},
	{syntax_config_path, true, "/etc/apilb-lb.cfg"},
	{syntax_config_path, true, "/etc/apilb.d2/x.cfg"},
	{syntax_config_path, true, "/etc/sshd/x.cfg"},
	{syntax_config_path, true, "/etc/kubernetes/haproxy.cfg"},
	{syntax_config_path, true, "/opt/lb/haproxy.conf"},
	{syntax_config_path, true, "/srv/lb/x"},
	{syntax_config_path, true, "/var/lib/haproxy/x.cfg"},
	{syntax_config_path, true, "/usr/local/etc/haproxy/haproxy.cfg"},
	{syntax_config_path, true, "/root/lb/haproxy.cfg"},
	{syntax_config_path, true, "/home/lb/haproxy.cfg"},
	{syntax_config_path, true, "/libs/x.cfg"},
	{syntax_config_path, true, "/bootstrap/x.cfg"},
	{syntax_config_path, true, "/etc/cron2/x"},
	{syntax_config_path, false, "/etc/passwd"},
	{syntax_config_path, false, "/etc/shadow"},
	{syntax_config_path, false, "/etc/hosts"},
	{syntax_config_path, false, "/etc/sudoers"},
	{syntax_config_path, false, "/etc/crontab"},
	{syntax_config_path, false, "/etc/ld.so.preload"},
	{syntax_config_path, false, "/etc/ld.so.conf"},
	{syntax_config_path, false, "/etc/haproxy.conf"},
	{syntax_config_path, false, "/etc/x"},
	{syntax_config_path, false, "/x"},
	{syntax_config_path, false, "/vmlinuz"},
	{syntax_config_path, false, "/etc/ssh/sshd_config"},
	{syntax_config_path, false, "/etc/ssh/sshd_config.d/x.cfg"},
	{syntax_config_path, false, "/etc/pam.d/x.cfg"},
	{syntax_config_path, false, "/etc/sudoers.d/x.cfg"},
	{syntax_config_path, false, "/etc/cron.d/x.cfg"},
	{syntax_config_path, false, "/etc/cron.hourly/x.cfg"},
	{syntax_config_path, false, "/etc/systemd/system/x.cfg"},
	{syntax_config_path, false, "/etc/ld.so.conf.d/x.cfg"},
	{syntax_config_path, false, "/etc/security/limits.d/x.cfg"},
	{syntax_config_path, false, "/etc/profile.d/x.cfg"},
	{syntax_config_path, false, "/etc/rc3.d/x.cfg"},
	{syntax_config_path, false, "/boot/x.cfg"},
	{syntax_config_path, false, "/boot/grub/grub.cfg"},
	{syntax_config_path, false, "/proc/sys/x.cfg"},
	{syntax_config_path, false, "/sys/x.cfg"},
	{syntax_config_path, false, "/dev/shm/x.cfg"},
	{syntax_config_path, false, "/usr/x.cfg"},
	{syntax_config_path, false, "/usr/share/haproxy/x.cfg"},
	{syntax_config_path, false, "/usr/local/bin/x.cfg"},
	{syntax_config_path, false, "/bin/x.cfg"},
	{syntax_config_path, false, "/sbin/x.cfg"},
	{syntax_config_path, false, "/lib/x.cfg"},
	{syntax_config_path, false, "/lib64/x.cfg"},
	{syntax_config_path, false, "/lib/systemd/system/x.cfg"},
	{syntax_config_path, false, "/root/.ssh/authorized_keys"},
	{syntax_config_path, false, "/home/admin/.ssh/x.cfg"},
	{syntax_config_path, false, "/etc/docker/x.cfg"},
	{syntax_config_path, false, "/var/lib/docker/x.cfg"},
	{syntax_config_path, false, "/etc/kubernetes/manifests/x.cfg"},
	{syntax_config_path, false, "/var/lib/kubelet/x.cfg"},
	{syntax_config_path, false, "/etc/apilb.d/x.cfg"},
	{syntax_config_path, false, "/var/lib/apilb/lb/x.cfg"},
	{syntax_config_path, false, "/bin"},
	{syntax_config_path, false, "/usr"},
	{syntax_file, true, "/root/.ssh/id_ed25519"},
	{syntax_file, false, "id_ed25519"},
	{syntax_file, false, "~/.ssh/id_ed25519"},
	{syntax_file, false, "/root/\n"},
	{syntax_user, true, "root"},
	{syntax_user, true, "EXAMPLE\\admin"},
	{syntax_user, false, "ro ot"},
	{syntax_user, false, "root\n"},
	{syntax_duration, true, "1m30s"},
	{syntax_duration, true, "1ns"},
	{syntax_duration, false, "0"},
	{syntax_duration, false, "0s"},
	{syntax_duration, false, "-1s"},
	{syntax_duration, false, "-1ns"},
	{syntax_duration, false, "30"},
	{syntax_duration, false, "30 s"},
	{syntax_haproxy_time, true, "1ns"},
	{syntax_haproxy_time, true, "1m30s"},
	{syntax_haproxy_time, true, "576h"},
	{syntax_haproxy_time, false, "576h1ms"},
	{syntax_haproxy_time, false, "0s"},
	{syntax_haproxy_time, false, "24d"},
	{syntax_port, true, "1"},
	{syntax_port, true, "22"},
	{syntax_port, true, "65535"},
	{syntax_port, false, "0"},
	{syntax_port, false, "65536"},
	{syntax_port, false, "-1"},
	{syntax_port, false, "+22"},
	{syntax_port, false, "022"},
	{syntax_port, false, "0x16"},
	{syntax_port, false, "22.0"},
	{syntax_port, false, "99999999999999999999"},
	{syntax_port, false, ""},
	{syntax_engine, true, "unix:///var/run/docker.sock"},
	{syntax_engine, true, "unix:///run/podman/podman.sock"},
	{syntax_engine, false, "unix://run/docker.sock"},
	{syntax_engine, false, "unix://"},
	{syntax_engine, false, "unix:///"},
	{syntax_engine, false, "/var/run/docker.sock"},
	{syntax_engine, false, "tcp://127.0.0.1:2375"},
	{syntax_engine, false, "unix:///run/../docker.sock"},
	{syntax_engine, false,
	 "unix:///"
	 "12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012"
	 "345678901234567"},
	{syntax_host_key_checking, true, "strict"},
	{syntax_host_key_checking, true, "accept-new"},
	{syntax_host_key_checking, true, "off"},
	{syntax_host_key_checking, false, "no"},
	{syntax_host_key_checking, false, "Strict"},
	{address_check, true, "node1"},
	{address_check, true, "node_1.example.com"},
	{address_check, true, "node1.example.com."},
	{address_check, true, "10.0.0.1"},
	{address_check, true, "::1"},
	{address_check, true, "[2001:db8::1]"},
	{address_check, true, "1node"},
	{address_check, false, "10.0.0.1:22"},
	{address_check, false, "10.0.0.256"},
	{address_check, false, "10.0.0"},
	{address_check, false, "010.0.0.1"},
	{address_check, false, "[node1]"},
	{address_check, false, "[::1]:22"},
	{address_check, false, "[::1"},
	{address_check, false, "node 1"},
	{address_check, false, "node1\n"},
	{address_check, false, "-node"},
	{address_check, false, "node-"},
	{address_check, false, "."},
	{address_check, false, "a..b"},
	{address_check, false, "root@node1"},
	{address_check, false,
	 "n\xc3\xb6"
	 "de"},
	{address_check, false, "a123456789012345678901234567890123456789012345678901234567890123"},
	{syntax_host_key, true, "SHA256:JGLOp3Zaa4cCkTl6D1wGBkUJNQfDwUwSOpXTLCk4vEA"},
	{syntax_host_key, true, "SHA256:JGLOp3Zaa4cCkTl6D1wGBkUJNQfDwUwSOpXTLCk4vEA="},
	{syntax_host_key, false, "SHA256:JGLOp3Zaa4cCkTl6D1wGBkUJNQfDwUwSOpXTLCk4vE"},
	{syntax_host_key, false, "SHA256:JGLOp3Zaa4cCkTl6D1wGBkUJNQfDwUwSOpXTLCk4vE A"},
	{syntax_host_key, false, "MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48"},
	{syntax_host_key, false, "ssh-ed25519"},
	{syntax_host_key, false, "ssh-ed25519 AAAA"},
	{syntax_host_key, false, "ssh-ed25519 ===="},
	{syntax_host_key, false, "ssh-ed25519 not/base64!"},
	{syntax_host_key, false, ""},
};

START_TEST(a_value_is_accepted_or_refused)
{
	struct err err = {.message = ""};
	int rc = values[_i].check(values[_i].text, &err);

	ck_assert_msg(rc == (values[_i].good ? 0 : -1), "\"%s\": %s", values[_i].text, err.message);
	if (rc < 0)
		ck_assert_msg(strncmp(err.message, "must ", 5) == 0, "\"%s\": %s", values[_i].text,
			      err.message);
}
END_TEST

START_TEST(a_container_name_leaves_room_for_its_socket)
{
	char name[SPEC_MAX_NAME + 2] = "";
	struct err err;

	memset(name, 'x', SPEC_MAX_NAME);
	ck_assert_int_eq(syntax_container_name(name, &err), 0);
	name[SPEC_MAX_NAME] = 'x';
	ck_assert_int_eq(syntax_container_name(name, &err), -1);
}
END_TEST

static const struct {
	const char *text, *address;
} addresses[] = {
	{"Node1.Example.COM", "node1.example.com"},
	{"[2001:DB8:0:0::1]", "2001:db8::1"},
	{"2001:db8:0:0:0:0:0:1", "2001:db8::1"},
	{"10.0.0.1", "10.0.0.1"},
};

START_TEST(an_address_has_one_spelling)
{
	struct err err;
	char *address;

	ck_assert_int_eq(address_parse(addresses[_i].text, &address, &err), 0);
	ck_assert_str_eq(address, addresses[_i].address);
	free(address);
}
END_TEST

static const struct {
	const char *text;
	const char *host; /* NULL: refused */
	bool ipv6;
	uint16_t port;
} servers[] = {
	{"10.0.0.1:6443", "10.0.0.1", false, 6443},
	{"api1.example.com:443", "api1.example.com", false, 443},
	{"API1:443", "api1", false, 443},
	{"localhost:1", "localhost", false, 1},
	{"[2001:DB8::1]:65535", "2001:db8::1", true, 65535},
	{.text = "10.0.0.1"},
	{.text = "10.0.0.1:"},
	{.text = "10.0.0.1:0"},
	{.text = "10.0.0.1:65536"},
	{.text = "10.0.0.1:6443:1"},
	{.text = "10.0.0.1:6443 "},
	{.text = "10.0.0.1:6443\n  server evil 10.6.6.6:1"},
	{.text = "10.0.0.1:6443 check"},
	{.text = "\"10.0.0.1\":6443"},
	{.text = "10.0.0.300:6443"},
	{.text = "2001:db8::1:6443"},
	{.text = "[2001:db8::1]"},
	{.text = "[2001:db8::1]6443"},
	{.text = "[10.0.0.1]:6443"},
	{.text = "[]:6443"},
	{.text = "https://10.0.0.1:6443"},
	{.text = "*:6443"},
	{.text = ":6443"},
	{.text = "a b:6443"},
	{.text = "a#b:6443"},
	{.text = "$HOME:6443"},
	{.text = "unix@/run/x:6443"},
	{.text = ""},
};

START_TEST(a_server_is_host_and_port)
{
	struct spec_server server;
	struct err err;
	int rc = server_parse(servers[_i].text, &server, &err);

	ck_assert_msg(rc == (servers[_i].host ? 0 : -1), "\"%s\"", servers[_i].text);
	if (rc < 0)
		return;
	ck_assert_str_eq(server.host, servers[_i].host);
	ck_assert_int_eq(server.ipv6, servers[_i].ipv6);
	ck_assert_uint_eq(server.port, servers[_i].port);
	server_clear(&server);
}
END_TEST

static const struct {
	const char *text;
	const char *ip; /* NULL: refused */
	bool ipv6;
	uint16_t port;
} binds[] = {
	{"127.0.0.1", "127.0.0.1", false, 6443},
	{"127.0.0.1:7443", "127.0.0.1", false, 7443},
	{"0.0.0.0:6443", "0.0.0.0", false, 6443},
	{"*", "*", false, 6443},
	{"*:7443", "*", false, 7443},
	{":7443", "*", false, 7443},
	{"::", "::", true, 6443},
	{"::1", "::1", true, 6443},
	{"[::1]", "::1", true, 6443},
	{"[2001:DB8:0::1]:7443", "2001:db8::1", true, 7443},
	/* an address and nothing else: a port needs brackets */
	{"2001:db8::1:7443", "2001:db8::1:7443", true, 6443},
	{.text = ""},
	{.text = ":"},
	{.text = "127.0.0.1:"},
	{.text = "127.0.0.1:0"},
	{.text = "127.0.0.1:6443-6450"},
	{.text = "127.0.0.1:6443,127.0.0.2:6443"},
	{.text = "localhost"},
	{.text = "localhost:6443"},
	{.text = "eth0"},
	{.text = "[*]:6443"},
	{.text = "[127.0.0.1]:6443"},
	{.text = "[::1"},
	{.text = "[::1]6443"},
	{.text = "fe80::1%eth0"},
	{.text = "127.0.0.1:6443 ssl crt x"},
	{.text = "127.0.0.1\n"},
	{.text = "/run/haproxy.sock"},
};

START_TEST(a_bind_is_an_address_and_maybe_a_port)
{
	struct spec_bind bind;
	struct err err;
	int rc = bind_parse(binds[_i].text, &bind, &err);

	ck_assert_msg(rc == (binds[_i].ip ? 0 : -1), "\"%s\"", binds[_i].text);
	if (rc < 0)
		return;
	ck_assert_str_eq(bind.ip, binds[_i].ip);
	ck_assert_int_eq(bind.ipv6, binds[_i].ipv6);
	ck_assert_uint_eq(bind.port, binds[_i].port);
	bind_clear(&bind);
}
END_TEST

/* Keys. */

static char *read_key(const char *name)
{
	char *path = xasprintf(TOP_SRCDIR "/tests/keys/%s", name);
	FILE *file = fopen(path, "r");
	char *text = xcalloc(1, 16384);

	ck_assert_msg(file && fread(text, 1, 16383, file) > 0, "%s", path);
	fclose(file);
	free(path);
	return text;
}

static const struct {
	const char *name;
	const char *why; /* NULL: good */
} keys[] = {
	{"ed25519-openssh", NULL},
	{"ecdsa256-openssh", NULL},
	{"ecdsa384-openssh", NULL},
	{"ecdsa521-openssh", NULL},
	{"rsa-openssh", NULL},
	{"ed25519-pkcs8", NULL},
	{"rsa-pkcs1", NULL},
	{"rsa-pkcs8", NULL},
	{"ecdsa256-sec1", NULL},
	{"ecdsa256-sec1-with-parameters", NULL},
	{"ed25519-openssh-encrypted", "must not be encrypted"},
	{"rsa-pkcs1-encrypted", "must not be encrypted"},
	{"rsa-pkcs8-encrypted", "must not be encrypted"},
	{"ecdsa256-sec1-encrypted", "must not be encrypted"},
	{"x25519-pkcs8", "of another type"},
	{"ed25519-openssh-public-damaged", "damaged"},
	{"ed25519-openssh.pub", "from its BEGIN to its END line"},
};

START_TEST(a_private_key_is_one_that_ssh_can_use)
{
	char *key = read_key(keys[_i].name);
	struct err err;
	int rc = ssh_key_check(key, &err);

	ck_assert_msg(rc == (keys[_i].why ? -1 : 0), "%s", keys[_i].name);
	if (rc < 0)
		ck_assert_msg(strstr(err.message, keys[_i].why), "%s: %s", keys[_i].name, err.message);
	free(key);
}
END_TEST

/* Cut anywhere, or with any line lost, it is an error, never a crash, and says nothing of the key. */
START_TEST(a_damaged_key_is_refused)
{
	char *key = read_key(keys[_i].name), *whole = xstrdup(key);
	size_t end = strlen(key);
	struct err err;

	while (end > 0 && key[end - 1] != '-')
		end--;
	while (end-- > 0) {
		key[end] = '\0';
		ck_assert_int_eq(ssh_key_check(key, &err), -1);
	}
	for (const char *line = whole; *line; line = strchr(line, '\n') + 1) {
		const char *next = strchr(line, '\n') + 1;

		strcpy(key, whole);
		memmove(key + (line - whole), key + (next - whole), strlen(next) + 1);
		/* the line of another block in front of the key may well go */
		if (ssh_key_check(key, &err) < 0)
			ck_assert_ptr_null(line[0] == '-' ? NULL : strstr(err.message, "AAAA"));
	}
	free(key);
	free(whole);
}
END_TEST

START_TEST(a_public_key_line_pins_a_host)
{
	static const char *const names[] = {"ed25519-openssh.pub", "ecdsa256-openssh.pub", "rsa-openssh.pub"};

	for (size_t i = 0; i < LENGTH(names); i++) {
		char *line = read_key(names[i]);
		struct err err;

		*strchr(line, '\n') = '\0';
		ck_assert_int_eq(syntax_host_key(line, &err), 0);
		/* without the comment */
		*strrchr(line, ' ') = '\0';
		ck_assert_int_eq(syntax_host_key(line, &err), 0);
		line[strlen(line) - 8] = '\0';
		ck_assert_int_eq(syntax_host_key(line, &err), -1);
		memcpy(line, "ssh-xyz", 7);
		ck_assert_int_eq(syntax_host_key(line, &err), -1);
		free(line);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("spec syntax");
	TCase *tcase = tcase_create("values");

	tcase_add_loop_test(tcase, a_value_is_accepted_or_refused, 0, LENGTH(values));
	tcase_add_test(tcase, a_container_name_leaves_room_for_its_socket);
	tcase_add_loop_test(tcase, an_address_has_one_spelling, 0, LENGTH(addresses));
	tcase_add_loop_test(tcase, a_server_is_host_and_port, 0, LENGTH(servers));
	tcase_add_loop_test(tcase, a_bind_is_an_address_and_maybe_a_port, 0, LENGTH(binds));
	tcase_add_loop_test(tcase, a_private_key_is_one_that_ssh_can_use, 0, LENGTH(keys));
	tcase_add_loop_test(tcase, a_damaged_key_is_refused, 0, LENGTH(keys));
	tcase_add_test(tcase, a_public_key_line_pins_a_host);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
