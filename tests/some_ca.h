/* The certificate of a CA, for what a spec names. */
#ifndef APILB_TESTS_SOME_CA_H
#define APILB_TESTS_SOME_CA_H

static const char some_ca[] = "-----BEGIN CERTIFICATE-----\n"
			      "MIIBezCCASGgAwIBAgIULtnTmraeprxzoQleUULM7yb58CowCgYIKoZIzj0EAwIw\n"
			      "EjEQMA4GA1UEAwwHdGVzdCBDQTAgFw0yNjExMjcxNjI5MThaGA8yMTI2MTEwMzE2\n"
			      "MjkxOFowEjEQMA4GA1UEAwwHdGVzdCBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEH\n"
			      "A0IABFHBsippC3PWzeLAI1MrGMit5r7mWGizFj4qbqnCqpuznwFcc0Opu+6+AN9R\n"
			      "C+rGOhJQVtXZQxFyWEbdvaAAR3+jUzBRMB0GA1UdDgQWBBQ5xw8U+ZETuwYjJdWX\n"
			      "nIPGTqODwjAfBgNVHSMEGDAWgBQ5xw8U+ZETuwYjJdWXnIPGTqODwjAPBgNVHRMB\n"
			      "Af8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQCeUCWaOvx2SuHnZWNZGaYCQGeB\n"
			      "8nieRvWKQeCpQKUawQIgKVtpiBzchSkJROGNPnm51eao0Wk+oiUDJD4ehcrFyuo=\n"
			      "-----END CERTIFICATE-----\n";

#endif
