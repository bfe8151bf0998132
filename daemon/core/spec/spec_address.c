/* Addresses of hosts, servers and binds. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/spec/spec_syntax.h"

#define MAX_DNS_NAME 253
#define MAX_DNS_LABEL 63

/* ASCII only: isalnum() depends on the locale. */
static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '_';
}

/*
 * RFC 1123, plus underscores, which real networks use. If the last label is all
 * digits, the name is a mistyped IPv4 address.
 */
static bool is_dns_name(const char *text)
{
	const char *label = text;
	bool digits = false;

	if (strlen(text) > MAX_DNS_NAME)
		return false;
	while (*label) {
		size_t len = 0;

		digits = true;
		for (; is_name_char(label[len]); len++)
			digits = digits && isdigit((unsigned char)label[len]);
		if (len == 0 || len > MAX_DNS_LABEL || label[0] == '-' || label[len - 1] == '-')
			return false;
		label += len;
		if (*label == '.')
			label++;
		else if (*label)
			return false;
	}
	return label != text && !digits;
}

/* The shortest form of an address of this family; NULL: text is not such an address. */
static char *canonical_ip(int family, const char *text)
{
	char buf[INET6_ADDRSTRLEN];
	struct in6_addr ip;

	if (inet_pton(family, text, &ip) != 1)
		return NULL;
	return xstrdup(inet_ntop(family, &ip, buf, sizeof(buf)));
}

static char *lower(const char *text)
{
	char *copy = xstrdup(text);

	for (char *p = copy; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

/* A host without brackets: name, IPv4 or IPv6 address; NULL: text is none of these. */
static char *canonical_host(const char *text, bool *ipv6)
{
	char *host = canonical_ip(AF_INET6, text);

	*ipv6 = host != NULL;
	if (!host)
		host = canonical_ip(AF_INET, text);
	if (!host && is_dns_name(text))
		host = lower(text);
	return host;
}

/*
 * Splits "[inside]rest": returns the inside, which the caller frees; *rest is what follows. NULL:
 * no brackets.
 */
static char *in_brackets(const char *text, const char **rest)
{
	const char *end = text[0] == '[' ? strchr(text, ']') : NULL;

	if (!end)
		return NULL;
	*rest = end + 1;
	return xstrndup(text + 1, (size_t)(end - text - 1));
}

int address_parse(const char *text, char **address, struct err *err)
{
	const char *rest = "";
	char *inside = in_brackets(text, &rest);
	bool ipv6;

	*address = inside && !*rest ? canonical_ip(AF_INET6, inside) : NULL;
	if (!inside)
		*address = canonical_host(text, &ipv6);
	free(inside);
	if (!*address)
		return err_set(err, ERR_SPEC,
			       "must be a host name, an IPv4 address or an IPv6 address, and nothing else: "
			       "port and user are keys of their own");
	return 0;
}

static int port_parse(const char *text, uint16_t *port)
{
	unsigned long value = 0;
	size_t len = strspn(text, "0123456789");

	if (len == 0 || len > 5 || text[len] || text[0] == '0')
		return -1;
	value = strtoul(text, NULL, 10);
	if (value > UINT16_MAX)
		return -1;
	*port = (uint16_t)value;
	return 0;
}

int syntax_port(const char *text, struct err *err)
{
	uint16_t port;

	if (port_parse(text, &port) < 0)
		return err_set(err, ERR_SPEC, "must be a whole number from 1 to 65535");
	return 0;
}

/*
 * Splits "host:port" and "[IPv6]:port". Returns the host, which the caller
 * frees, or NULL if the brackets are malformed. *port: the text after the
 * colon; NULL: there is no colon.
 */
static char *split_port(const char *text, const char **port, bool *bracketed)
{
	const char *rest = text + strcspn(text, ":");
	char *host = in_brackets(text, &rest);

	*bracketed = host != NULL;
	if (!host)
		host = xstrndup(text, (size_t)(rest - text));
	*port = *rest == ':' ? rest + 1 : NULL;
	if (*rest && *rest != ':')
		FREE(host);
	return host;
}

int server_parse(const char *text, struct spec_server *server, struct err *err)
{
	const char *port;
	bool bracketed;
	char *host = split_port(text, &port, &bracketed);

	*server = (struct spec_server){0};
	if (host && bracketed) {
		server->host = canonical_ip(AF_INET6, host);
		server->ipv6 = true;
	} else if (host) {
		server->host = canonical_host(host, &server->ipv6);
	}
	free(host);
	if (server->host && port && port_parse(port, &server->port) == 0)
		return 0;
	server_clear(server);
	return err_set(err, ERR_SPEC,
		       "must be HOST:PORT, such as \"10.0.0.1:6443\", \"api1.example.com:6443\" or "
		       "\"[2001:db8::1]:6443\", with a port from 1 to 65535");
}

/*
 * The IP of a bind: "*" for all addresses, or one address. Not a name: what it stands for could
 * change.
 */
static char *bind_ip(const char *host, bool bracketed, bool *ipv6)
{
	*ipv6 = bracketed;
	if (bracketed)
		return canonical_ip(AF_INET6, host);
	if (!*host || strcmp(host, "*") == 0)
		return xstrdup("*");
	return canonical_ip(AF_INET, host);
}

int bind_parse(const char *text, struct spec_bind *bind, struct err *err)
{
	const char *port = NULL;
	bool bracketed;
	char *host;

	*bind = (struct spec_bind){.ip = canonical_ip(AF_INET6, text), .ipv6 = true};
	if (!bind->ip) {
		host = split_port(text, &port, &bracketed);
		bind->ip = host ? bind_ip(host, bracketed, &bind->ipv6) : NULL;
		free(host);
	}
	bind->port = SPEC_DEFAULT_BIND_PORT;
	if (bind->ip && *text && (!port || port_parse(port, &bind->port) == 0))
		return 0;
	bind_clear(bind);
	if (strchr(text, ','))
		return err_set(err, ERR_SPEC, "must be one address; write several as a list");
	return err_set(
		err, ERR_SPEC,
		"must be an IP address, or IP:PORT, such as \"127.0.0.1\", \"0.0.0.0:6443\" or "
		"\"[2001:db8::1]:6443\" (\"*\" is every IPv4 address; a name is not allowed), with a port "
		"from 1 to 65535");
}

void server_clear(struct spec_server *server)
{
	FREE(server->host);
}

void bind_clear(struct spec_bind *bind)
{
	FREE(bind->ip);
}
