#include "daemon/io/docker/docker_text.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

char *base64_text(const char *encoded)
{
	char *common = xstrdup(encoded), *decoded = xcalloc(1, strlen(encoded) + 1);

	for (char *p = common; *p; p++)
		*p = *p == '-' ? '+' : *p == '_' ? '/' : *p;
	if (EVP_DecodeBlock((unsigned char *)decoded, (unsigned char *)common, (int)strlen(common)) < 0)
		*decoded = '\0';
	free(common);
	return decoded;
}

/* The length of the next frame, header included; 0: the bytes are not a frame. */
static size_t frame_length(const unsigned char *p, size_t left)
{
	size_t len;

	if (left < 8 || p[0] > 2 || p[1] || p[2] || p[3])
		return 0;
	len = (size_t)p[4] << 24 | (size_t)p[5] << 16 | (size_t)p[6] << 8 | p[7];
	return 8 + (len < left - 8 ? len : left - 8);
}

char *log_text(const char *body, size_t body_len, size_t *text_len)
{
	const unsigned char *p = (const unsigned char *)body, *end = p + body_len;
	char *text = xcalloc(1, body_len + 1);
	size_t len = 0, frame;

	for (; (frame = frame_length(p, (size_t)(end - p))) != 0; p += frame) {
		memcpy(text + len, p + 8, frame - 8);
		len += frame - 8;
	}
	memcpy(text + len, p, (size_t)(end - p));
	*text_len = len + (size_t)(end - p);
	return text;
}

char *one_line(const char *message)
{
	char *text = xstrdup(message);

	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = ' ';
	for (size_t len = strlen(text); len > 0 && text[len - 1] == ' '; len--)
		text[len - 1] = '\0';
	return text;
}
