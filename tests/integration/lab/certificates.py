"""Certificate authorities, and certificates for API servers by them."""

from .proc import run

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """A CA; its certificate is in `file`."""

    def __init__(self, directory, name):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.name = directory, name
        self.file, self.key = directory / f"{name}.crt", directory / f"{name}.key"
        run("openssl", "req", "-x509", *KEY, "-days", "2", "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.file)

    def issue(self, name, host="kubernetes"):
        """A certificate with this DNS name, and its key."""
        request, key = self.directory / f"{name}.csr", self.directory / f"{name}.key"
        certificate, names = self.directory / f"{name}.crt", self.directory / f"{name}.ext"
        names.write_text(f"subjectAltName=DNS:{host},DNS:{host}.default.svc,IP:10.96.0.1\n")
        run("openssl", "req", "-new", *KEY, "-subj", "/CN=kube-apiserver", "-keyout", key, "-out", request)
        run("openssl", "x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self.key, "-CAcreateserial",
            "-days", "2", "-extfile", names, "-out", certificate)  # fmt: skip
        return certificate, key
