/* Floor 2: known_hosts lines, fingerprints, and what private keys look like. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/io/ssh/known_hosts.h"
#include "daemon/io/ssh/ssh_key.h"
#include "tests/suite.h"

/* Made with ssh-keygen; the fingerprints are those that it shows. */
#define KEY_A "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDHLth2fo3Z9YCE2AR8oetps0no186LHC/foqrQQu2IA"
#define KEY_B "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqTKPAKOzO6I/NvwPvYJZ20vha0Xbci4YsCLS+k8FEL"
#define KEY_E                                                          \
	"ecdsa-sha2-nistp256 "                                         \
	"AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHtyE/y/" \
	"xaYoeNCRPkGXxn9oxYEEQ9WN31SeNP19MIK4IYhvPFKl+05LDWKOQzOJpJH/a+D5bj/zowHuja2e8uo="
#define FINGERPRINT_A "SHA256:RQlcqNAG4WC0zr/3Rk7iHZ08zZn22JoNvHlO9YBm/E4"
#define FINGERPRINT_B "SHA256:yDnVTNP0DYqSejFH9rZboC363Umnh2H/O4pDtCTXT18"
/* ssh-keygen -H of "[10.0.0.5]:2222" and of "node1". */
#define HASH_PORT "|1|q0oeUF8gtmokAiEGtTkyj1ny98w=|ls+rmGzImZsnMnVCmN9AsSOFPLo="
#define HASH_NODE1 "|1|FXIc+kU4PT2azVD/1RNFeiAc2pA=|rYYfEtWzZH7TuRMFJF6rVQU8QBk="

static struct host_key key_of(const char *text)
{
	struct host_key key;

	ck_assert_msg(host_key_parse(&key, text, strlen(text)), "%s", text);
	return key;
}

static const struct {
	const char *what, *text, *host;
	uint16_t port;
	enum host_key_verdict verdict;
	size_t line;
} lookups[] = {
	{"an empty file", "", "node1", 22, HOST_KEY_UNKNOWN, 0},
	{"a plain name", "node1 " KEY_A "\n", "node1", 22, HOST_KEY_KNOWN, 1},
	{"no newline at the end", "node1 " KEY_A, "node1", 22, HOST_KEY_KNOWN, 1},
	{"a carriage return at the end", "node1 " KEY_A "\r\n", "node1", 22, HOST_KEY_KNOWN, 1},
	{"a comment after the key", "node1 " KEY_A " root@node1\n", "node1", 22, HOST_KEY_KNOWN, 1},
	{"tabs and spaces", " node1\t " KEY_A "\n", "node1", 22, HOST_KEY_KNOWN, 1},
	{"comments and empty lines count as lines", "# x\n\n \nnode1 " KEY_A "\n", "node1", 22,
	 HOST_KEY_KNOWN, 4},
	{"names do not care for case", "Node1 " KEY_A "\n", "NODE1", 22, HOST_KEY_KNOWN, 1},
	{"another host", "node2 " KEY_A "\n", "node1", 22, HOST_KEY_UNKNOWN, 0},
	{"a longer name", "node11 " KEY_A "\n", "node1", 22, HOST_KEY_UNKNOWN, 0},
	{"one of several names", "a,node1,b " KEY_A "\n", "node1", 22, HOST_KEY_KNOWN, 1},
	{"a port of its own", "[node1]:2222 " KEY_A "\n", "node1", 2222, HOST_KEY_KNOWN, 1},
	{"another port is another host", "node1 " KEY_A "\n", "node1", 2222, HOST_KEY_UNKNOWN, 0},
	{"IPv6", "fd00::1 " KEY_A "\n", "fd00::1", 22, HOST_KEY_KNOWN, 1},
	{"IPv6 with a port", "[fd00::1]:2222 " KEY_A "\n", "fd00::1", 2222, HOST_KEY_KNOWN, 1},
	{"a star", "*.example.com " KEY_A "\n", "a.example.com", 22, HOST_KEY_KNOWN, 1},
	{"a star in the middle", "a*c*e " KEY_A "\n", "abcbcde", 22, HOST_KEY_KNOWN, 1},
	{"a star that does not fit", "a*c " KEY_A "\n", "abcd", 22, HOST_KEY_UNKNOWN, 0},
	{"a question mark", "node? " KEY_A "\n", "node1", 22, HOST_KEY_KNOWN, 1},
	{"a question mark is one character", "node? " KEY_A "\n", "node", 22, HOST_KEY_UNKNOWN, 0},
	{"a negation wins", "node*,!node1 " KEY_A "\n", "node1", 22, HOST_KEY_UNKNOWN, 0},
	{"a negation of others", "node*,!node2 " KEY_A "\n", "node1", 22, HOST_KEY_KNOWN, 1},
	{"hashed", HASH_NODE1 " " KEY_A "\n", "node1", 22, HOST_KEY_KNOWN, 1},
	{"hashed with a port", HASH_PORT " " KEY_A "\n", "10.0.0.5", 2222, HOST_KEY_KNOWN, 1},
	{"hashed, another host", HASH_NODE1 " " KEY_A "\n", "node2", 22, HOST_KEY_UNKNOWN, 0},
	{"a broken hash", "|1|abc " KEY_A "\n|1|AAAA|AAAA " KEY_A "\n", "node1", 22, HOST_KEY_UNKNOWN, 0},
	{"another key", "x " KEY_B "\nnode1 " KEY_B "\n", "node1", 22, HOST_KEY_CHANGED, 2},
	{"another key and the right one", "node1 " KEY_B "\nnode1 " KEY_A "\n", "node1", 22, HOST_KEY_KNOWN,
	 2},
	{"another type only", "node1 " KEY_E "\n", "node1", 22, HOST_KEY_CHANGED, 1},
	{"other types and another key: the key is named", "node1 " KEY_E "\nnode1 " KEY_B "\n", "node1", 22,
	 HOST_KEY_CHANGED, 2},
	{"other keys: the first is named", "node1 " KEY_B "\nnode1 " KEY_E "\n", "node1", 22,
	 HOST_KEY_CHANGED, 1},
	{"revoked", "@revoked * " KEY_A "\n", "node1", 22, HOST_KEY_REVOKED, 1},
	{"revoked after all", "node1 " KEY_A "\n@revoked node1 " KEY_A "\n", "node1", 22, HOST_KEY_REVOKED,
	 2},
	{"revoked elsewhere", "@revoked node2 " KEY_A "\n", "node1", 22, HOST_KEY_UNKNOWN, 0},
	{"another key is revoked", "@revoked * " KEY_B "\n", "node1", 22, HOST_KEY_UNKNOWN, 0},
	{"authorities are left aside", "@cert-authority * " KEY_B "\n", "node1", 22, HOST_KEY_UNKNOWN, 0},
	{"rubbish", "node1\nnode1 ssh-ed25519\nnode1 ssh-ed25519 !!!!\nnode1 ssh-rsa AAAA\n@\n@x\n", "node1",
	 22, HOST_KEY_UNKNOWN, 0},
	{"a type that is not the blob's",
	 "node1 ecdsa-sha2-nistp256 AAAAC3NzaC1lZDI1NTE5AAAAIDHLth2fo3Z9YCE2AR8oetps0no186LHC/foqrQQu2IA\n",
	 "node1", 22, HOST_KEY_UNKNOWN, 0},
};

START_TEST(a_host_is_found_in_known_hosts)
{
	struct host_key key = key_of(KEY_A);
	struct known_hosts_match match;

	known_hosts_find(lookups[_i].text, strlen(lookups[_i].text), lookups[_i].host, lookups[_i].port, &key,
			 &match);
	ck_assert_msg(match.verdict == lookups[_i].verdict && match.line == lookups[_i].line,
		      "%s: verdict %d, line %zu", lookups[_i].what, match.verdict, match.line);
}
END_TEST

START_TEST(a_changed_key_is_shown_with_its_old_fingerprint)
{
	static const char text[] = "node1 " KEY_E "\nnode1 " KEY_B "\n";
	struct host_key key = key_of(KEY_A);
	struct known_hosts_match match;

	known_hosts_find(text, strlen(text), "node1", 22, &key, &match);
	ck_assert_str_eq(match.old_fingerprint, FINGERPRINT_B);
	ck_assert_str_eq(match.old_type, "ssh-ed25519");
}
END_TEST

START_TEST(fingerprints_are_those_of_ssh_keygen)
{
	struct host_key key = key_of(KEY_A " comment");
	char fingerprint[FINGERPRINT_BYTES];

	ck_assert_str_eq(host_key_fingerprint(&key, fingerprint), FINGERPRINT_A);
}
END_TEST

static void collect(void *arg, const char *type)
{
	strcat(arg, type);
	strcat(arg, " ");
}

START_TEST(the_known_types_of_a_host)
{
	static const char text[] = "node1 " KEY_E "\nnode2 " KEY_B "\n@revoked node1 " KEY_B "\nnode1 " KEY_A;
	char types[200] = "";

	known_hosts_types(text, strlen(text), "node1", 22, collect, types);
	ck_assert_str_eq(types, "ecdsa-sha2-nistp256 ssh-ed25519 ");
}
END_TEST

static const struct {
	const char *host;
	uint16_t port;
	const char *line;
} lines[] = {
	{"node1", 22, "node1 " KEY_A "\n"},
	{"Node1", 22, "node1 " KEY_A "\n"},
	{"node1", 2222, "[node1]:2222 " KEY_A "\n"},
	{"fd00::1", 22, "fd00::1 " KEY_A "\n"},
};

/* A host says the type itself, and it becomes a word of a line in known_hosts. */
static const struct {
	const char *type;
	size_t len;
	bool good;
} types[] = {
	{"ssh-ed25519", 11, true},
	{"ecdsa-sha2-nistp256", 19, true},
	{"sk-ssh-ed25519@openssh.com", 26, true},
	{"", 0, false},
	{"ssh ed25519", 11, false},
	{"x\n* ssh-ed25519 AAAA", 20, false},
	{"ssh-\0d25519", 11, false},
	{"\x1b[2J", 4, false},
	{"0123456789012345678901234567890123456789012345678901234567890123", 64, false},
};

START_TEST(a_type_is_one_word)
{
	unsigned char blob[100] = {0, 0, 0, (unsigned char)types[_i].len};
	struct host_key key;

	memcpy(blob + 4, types[_i].type, types[_i].len);
	ck_assert_int_eq(host_key_from_blob(&key, blob, 4 + types[_i].len), types[_i].good);
	if (types[_i].good)
		ck_assert_str_eq(key.type, types[_i].type);
}
END_TEST

START_TEST(what_is_written_is_found_again)
{
	struct host_key key = key_of(KEY_A);
	char *line = known_hosts_line(lines[_i].host, lines[_i].port, &key);
	struct known_hosts_match match;

	ck_assert_str_eq(line, lines[_i].line);
	known_hosts_find(line, strlen(line), lines[_i].host, lines[_i].port, &key, &match);
	ck_assert_int_eq(match.verdict, HOST_KEY_KNOWN);
	free(line);
}
END_TEST

/* Throw-away keys; they open nothing. */
static const struct {
	const char *what, *text;
	enum ssh_key_kind kind;
} keys[] = {
	{"nothing", "", SSH_KEY_NONE},
	{"a public key", KEY_A, SSH_KEY_NONE},
	{"only a beginning", "-----BEGIN OPENSSH PRIVATE KEY-----", SSH_KEY_NONE},
	{"rubbish in armour", "-----BEGIN PRIVATE KEY-----\nrubbish\n-----END PRIVATE KEY-----\n",
	 SSH_KEY_NONE},
	{"Ed25519, OpenSSH",
	 "-----BEGIN OPENSSH PRIVATE KEY-----\n"
	 "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n"
	 "QyNTUxOQAAACAxy7Ydn6N2fWAhNgEfKHrabNJ6NfOixwv36Kq0ELtiAAAAAIi0xLWEtMS1\n"
	 "hAAAAAtzc2gtZWQyNTUxOQAAACAxy7Ydn6N2fWAhNgEfKHrabNJ6NfOixwv36Kq0ELtiAA\n"
	 "AAAEC7jg1lDr+OVae8Y/3FqeZv4vpSe20ABwGSJRYirmC3JTHLth2fo3Z9YCE2AR8oetps\n"
	 "0no186LHC/foqrQQu2IAAAAAAAECAwQF\n"
	 "-----END OPENSSH PRIVATE KEY-----\n",
	 SSH_KEY_OTHER},
	{"ECDSA, OpenSSH",
	 "-----BEGIN OPENSSH PRIVATE KEY-----\n"
	 "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAaAAAABNlY2RzYS\n"
	 "1zaGEyLW5pc3RwMjU2AAAACG5pc3RwMjU2AAAAQQR7chP8v8WmKHjQkT5Bl8Z/aMWBBEPV\n"
	 "jd9UnjT9fTCCuCGIbzxSpftOSw1ijkMziaSR/2vg+W4/86MB7o2tnvLqAAAAoBcG3FsXBt\n"
	 "xbAAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHtyE/y/xaYoeNCR\n"
	 "PkGXxn9oxYEEQ9WN31SeNP19MIK4IYhvPFKl+05LDWKOQzOJpJH/a+D5bj/zowHuja2e8u\n"
	 "oAAAAhAPD33JdKzal1/sDmRSwSZuIDqBK5F0xsg0XrhHe4ufXQAAAAAAECAwQFBgc=\n"
	 "-----END OPENSSH PRIVATE KEY-----\n",
	 SSH_KEY_OTHER},
	{"RSA, OpenSSH",
	 "-----BEGIN OPENSSH PRIVATE KEY-----\n"
	 "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAABFwAAAAdzc2gtcn\n"
	 "NhAAAAAwEAAQAAAQEAp9UgobFYtVB78ZU01KVCkZN5wixbZkRYu3rXhlzbsxS2fDf/ar0A\n"
	 "am6RzSDO1b4swRKFwjVb1HRH8wWw5+7hrsDXEXkLHaXPWMMO+9FYNmJdZb4vjFiWXvuxDz\n"
	 "mEpU0ZqaXf7CdZ/244NMnweYpUz4TNnbJ/XuF49NglaxAPt+ts12wIPko7WrF1pmy9VVx7\n"
	 "1ZkelmBh1uG9Mpsxg82u9N9kC4/XlqBuzxaZPaaH3lHiGV0SL0XacTB1w4ypsc53asdrNG\n"
	 "BkEi8i5UgRXINSNQcKXbXrJh5P2T+ymeT127Ka/qheIbHYrKaZtty62er65fKXejDaDGVx\n"
	 "HsKhtiWP1QAAA7gXFIikFxSIpAAAAAdzc2gtcnNhAAABAQCn1SChsVi1UHvxlTTUpUKRk3\n"
	 "nCLFtmRFi7eteGXNuzFLZ8N/9qvQBqbpHNIM7VvizBEoXCNVvUdEfzBbDn7uGuwNcReQsd\n"
	 "pc9Yww770Vg2Yl1lvi+MWJZe+7EPOYSlTRmppd/sJ1n/bjg0yfB5ilTPhM2dsn9e4Xj02C\n"
	 "VrEA+362zXbAg+SjtasXWmbL1VXHvVmR6WYGHW4b0ymzGDza7032QLj9eWoG7PFpk9pofe\n"
	 "UeIZXRIvRdpxMHXDjKmxzndqx2s0YGQSLyLlSBFcg1I1BwpdtesmHk/ZP7KZ5PXbspr+qF\n"
	 "4hsdisppm23LrZ6vrl8pd6MNoMZXEewqG2JY/VAAAAAwEAAQAAAQACAey1lRa7zSY9DfJs\n"
	 "vxD5sfh79Vu0MInu138ST8mJTeyJ4KyY36u3L4flxX2b374OzX8qmHNMVQYS9to2cqx3PT\n"
	 "4aqtE9I0wvN7QV7duJg6nc1fEhKLfHE+klXA7ataj31xtY1TarIBZ4MS3ZHP8Qiro1PPBE\n"
	 "7QWtSL7tKysY9tO9NtG1kBbq4jfIJcoFl3QVhTKOFghMzD4CCgYAPngwNEfjrH6u7j2HE7\n"
	 "+ZXgHfLFkTMlCKvlzhSCxkbXzLjESX3i55K8iOvwaPMF5rNU4mS9uyHk7krTcn5n+rlfB6\n"
	 "09mpdv788w4rdwh4wSb1F9Bnwj5CHVoln4fKDHmH14KBAAAAgCdZy3JtgJrDTwwaWPX72X\n"
	 "12fx72/Dv1hpX0rSOfykY8s2i6dQ/xtoHzKfF/R6yg5/XNByJ2RRTW+cd5jmkmlsInySFI\n"
	 "0h0b/7dRrjC2Dm2xfZYp9+s7iIiCko+r5DMEdAYj+24EzORQfd6tZH4OX9O0+TAVy72THm\n"
	 "KAwHF3qPdYAAAAgQDTFgNsVMrFihbZIKSe4pCXinu4kmpycVdS9bQ/EypEH7k+Z726/nXB\n"
	 "juaAtCR9OH7vi7i5Sheinyx3Lt1AJI3sv5ZIOmtVxXYtclDFWRFxiizOgE3vvfPgJo/m81\n"
	 "bRxCXclXLZoFz3C9SL0IObg7KT8z0Dbfi+9Ar6vklTQxz3VQAAAIEAy4sSJg9/5uyQDYfo\n"
	 "jo2/BEc2hPlKomjtuiCW7Oju0lMF10dwyZbpn0uU+WTe5gpqgGd4Srmde2Y7SlaRdXW4BL\n"
	 "uKEZScZn1ocTqaPrw1J9pIlppuiWnRSMWMv5E8/s24Sg0C+ENg+tJPgNao5f+6WTVjk+Be\n"
	 "cj3grqEMLjTdNoEAAAAAAQID\n"
	 "-----END OPENSSH PRIVATE KEY-----\n",
	 SSH_KEY_RSA},
	{"RSA, PEM",
	 "-----BEGIN RSA PRIVATE KEY-----\n"
	 "MIIEowIBAAKCAQEArS7Voq9lCzkmdpJTmbEFmo2AfwiNv8RUcHzNGHV1w6xiSF2L\n"
	 "EPn7wsmTfnsTcIUNd/TUjJ9C9B4VVW7+6NPYCsW4YiU7VjLlbGk4glv3YN76etXo\n"
	 "11mSar2+lsYE83SYYhhWukQYfdFtcpzNWmH6y7G0gXCK2lclv4hWM7vllpJ2Bf6K\n"
	 "BXUW7g9x1aL3wwWs8q2O4U2JyCtBAfeW9EbjGbrmfYRgxELgbY9NwsLJmCzHGqg6\n"
	 "TdTkSI4DHgD34F9I8PALRlcCWSvR4cuoRvsLfsMOhtlphrrd7jAdHXZZAUtNuVsg\n"
	 "VgreLWqh1r6n+ckXzlFFQjSSvK2eGzKY3PpNTwIDAQABAoIBACURECKo3bygN85L\n"
	 "FV+g1u00ehs2bnhsAhKtc4xXn6QI4mRQuTIh/zO6xzncB9YedDqHiXKrp73uLmzB\n"
	 "vAeDSAtONF+1TlTtwdMJVlH4cyMltoDSBesJvd/gyskkiuy8uNzODsoBRyiuyXkt\n"
	 "fHpq3C361AKcXuvKmUa8XI7oGYS3bC6ZOudKNnhi0M5Gw/o+2zRKTuXcA5P7nBeb\n"
	 "uTq3Jzz/i4eaXJfOTP7ksXIn0Lgyj211ym0yQnZb1XU7t965aO46kCYHVcPVTPNM\n"
	 "/aCdxTpKmBSY71qBOHCuqPzwgMMh3Nk9KX5KrqpJgOmI5XAof90KKbXjE2NLlswb\n"
	 "7TGuJzECgYEA1BMSCpxHZMN8NoJCUifswWS8VX5xWRvmbi4Z59Yep2Xi6Pt5Uhun\n"
	 "QC0g5wBo1yLWW4a42OP0dRNpdhTpgN3XqvteO93/JB/QlQ7ZNZP2+TowCMZ6xf/k\n"
	 "Ri8bQgCWNwzGEZ4eJjBpTAGcnpIPPTi5lr2qnvzOomUV92iyi2UO2acCgYEA0Q2Z\n"
	 "Osw0JIyz85AfgZRBpab9qua9bhYCR+Hnah9yKroNhxPikvQcu9fJ2TqsGE9Ht5dF\n"
	 "XFvBq5ZW8aY+X4NtlHBnoFjSS9oRunxw0OEOAKMBd8JJI/vsT9dVprkN8mal1J/F\n"
	 "88BDukSfUwW5dI29wnu57TW+P4GRqc4sS6MKFBkCgYBRzglnjmD7vWxsmlJ63mu1\n"
	 "LeZ4FA4lEV4Rojbb9vxcFjExLc/enEwntUC72qyWUBnftFgZUdU6VAKaSfbIfspy\n"
	 "agQvk7KXfK440UF4KVtbR9a/i9BQECU97W3WR+Op2IOOyC9ZC9OSPgzsHetC8l6k\n"
	 "hwUJzvrmKZgPl5NHsfPIgQKBgHHgqnuxCSZvzwb6l28Kx8fo833JO59gNdXaZSkW\n"
	 "ACbuOrg+SMosWAqrPbUrlNuZNEP6DzqEcTd7Kdlw6cE14tddc9WRDN1s6QNhDkN6\n"
	 "lRobsYz/NMB5Vv0XG/06CTLmX6c3camaLkqlXvTmxWOMYrYyl9Fz2TLW7fZF7TM2\n"
	 "mSLhAoGBAM1wXbKN93y49vnjCWdEfBGEdOKPGium4ZvswHGBkvYE+T/dwpvSAQep\n"
	 "A3v+BlhU7MNDtxk/ckkn4wc2xSbgOpE32aImPDlXHZpKfwfBIrjWwn0m7u6+GEBC\n"
	 "Spf0IvqFUeA7+22e7FKUpimpt4EXDHfJejh4+na39AkXmoP1+zRZ\n"
	 "-----END RSA PRIVATE KEY-----\n",
	 SSH_KEY_RSA},
	{"ECDSA, PEM",
	 "-----BEGIN EC PRIVATE KEY-----\n"
	 "MHcCAQEEIFrvs2uQOrbtj+uebUfU6b7FZrxAKoBohRYKxHvOn2a+oAoGCCqGSM49\n"
	 "AwEHoUQDQgAEH5XB1+4EAj7jNrKBoPwgCv70BCKEXPfSThljDzdK/KjyKMZqPyWa\n"
	 "97NhZn1sEZJfmS8oYN5Zl6/28yDLc8RX7g==\n"
	 "-----END EC PRIVATE KEY-----\n",
	 SSH_KEY_OTHER},
	{"a comment above the key",
	 "# it was ENCRYPTED once\n"
	 "-----BEGIN EC PRIVATE KEY-----\n"
	 "MHcCAQEEIFrvs2uQOrbtj+uebUfU6b7FZrxAKoBohRYKxHvOn2a+oAoGCCqGSM49\n"
	 "AwEHoUQDQgAEH5XB1+4EAj7jNrKBoPwgCv70BCKEXPfSThljDzdK/KjyKMZqPyWa\n"
	 "97NhZn1sEZJfmS8oYN5Zl6/28yDLc8RX7g==\n"
	 "-----END EC PRIVATE KEY-----\n",
	 SSH_KEY_OTHER},
	{"Ed25519, PKCS#8",
	 "-----BEGIN PRIVATE KEY-----\n"
	 "MC4CAQAwBQYDK2VwBCIEIBSCuuEcnzBjINeOtQ/VE1rWPbjQbxuXlngOHS0+xNEQ\n"
	 "-----END PRIVATE KEY-----\n",
	 SSH_KEY_OTHER},
	{"encrypted, OpenSSH",
	 "-----BEGIN OPENSSH PRIVATE KEY-----\n"
	 "b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABAPU1vUue\n"
	 "vdeGy4h0q1Xy3bAAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAINRLu8kfo5k36x06\n"
	 "0wO7XgVlyoFvbFN+38FP2NstrqikAAAAkBHV/ncLpZcU0caDjql2/Cm4rkC352vZAGyNmE\n"
	 "L3dk+lUMj8CHvBdO32luwJv2Pfnoneldc+pNC1zuiT5do21OUllwpEZjWgOA9i8edO8lcd\n"
	 "MZGBvPz9lFPsJ8UfwLjsm7X/HAxYGORm2NX3qWnVPjPSgJqSETUG0Hp1moMOu+oiuV9piU\n"
	 "4sZoVS0qHMvLLmyw==\n"
	 "-----END OPENSSH PRIVATE KEY-----\n",
	 SSH_KEY_ENCRYPTED},
	{"encrypted, PEM",
	 "-----BEGIN EC PRIVATE KEY-----\n"
	 "Proc-Type: 4,ENCRYPTED\n"
	 "DEK-Info: AES-128-CBC,23C8116420ABF42880A93D0777B0D55C\n"
	 "\n"
	 "llxPTHR3a3u8vuc5lSY41JfQz10SJ6tAcRFeVgyYZthdWI2Hb/B0LuWR9Z7AdZL5\n"
	 "02c9kYtgtdiqVsoBHVDxc1LwpH4K/Ht4riMdVOYrjVnjQW8G8WJ8dA814nYjbX9H\n"
	 "qNab7KKpyBvx2tVQL9csbU6Tyda+mGycKl+ZnkEim7k=\n"
	 "-----END EC PRIVATE KEY-----\n",
	 SSH_KEY_ENCRYPTED},
	{"encrypted, PKCS#8",
	 "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
	 "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAirZRbo0oGb2QICCAAw\n"
	 "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEAQIEEC9h16cpeZQ7N2/fYUeqNMYEQBzh\n"
	 "yhyHYe9PlHTcORDi/hKhkNzUA3NoWRXL15OkzmgY7eIJLQEGVhZfp05+Dq2y94SS\n"
	 "CohifJUsq3q+7xhe3Fc=\n"
	 "-----END ENCRYPTED PRIVATE KEY-----\n",
	 SSH_KEY_ENCRYPTED},
};

START_TEST(kinds_of_private_keys)
{
	ck_assert_msg(ssh_key_kind(keys[_i].text) == keys[_i].kind, "%s: %d", keys[_i].what,
		      ssh_key_kind(keys[_i].text));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hostkey");
	TCase *known = tcase_create("known_hosts");
	TCase *private = tcase_create("private keys");

	tcase_add_loop_test(known, a_host_is_found_in_known_hosts, 0, N(lookups));
	tcase_add_test(known, a_changed_key_is_shown_with_its_old_fingerprint);
	tcase_add_test(known, fingerprints_are_those_of_ssh_keygen);
	tcase_add_test(known, the_known_types_of_a_host);
	tcase_add_loop_test(known, a_type_is_one_word, 0, N(types));
	tcase_add_loop_test(known, what_is_written_is_found_again, 0, N(lines));
	tcase_add_loop_test(private, kinds_of_private_keys, 0, N(keys));
	suite_add_tcase(suite, known);
	suite_add_tcase(suite, private);
	return suite_run(suite);
}
