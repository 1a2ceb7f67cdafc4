"""JSON Web Tokens as an identity server of the tests signs them (RFC 7519), and the node's configuration that takes them."""
import base64
import hashlib
import hmac
import json
import os
import time

SECRET = os.urandom(48).hex()
ISSUER, AUDIENCE = "https://id.example", "tandem"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(sign, header, claims):
    text = base64url(json.dumps(header).encode()) + "." + base64url(json.dumps(claims).encode())
    return text + "." + base64url(sign(text.encode()))


def hs256(text, key=SECRET):
    return hmac.new(key.encode() if isinstance(key, str) else key, text, hashlib.sha256).digest()


def claims(**more):
    return {"iss": ISSUER, "aud": ["other", AUDIENCE], "sub": "1001", "exp": int(time.time()) + 300, **more}


def token_of(user, seconds=300, key=SECRET):
    """For that subscriber, good for so long; below 0: it has expired. With another key nobody whom the node knows has signed it."""
    return token(lambda text: hs256(text, key), {"alg": "HS256", "typ": "JWT"}, claims(sub=user, exp=int(time.time()) + seconds))


def taking_tokens(folder, keys=()):
    """`sip.tokens` of a node that takes what hs256 signs, and what those keys do."""
    (folder / "secret").write_text(SECRET + "\n")
    return {"keys": [{"id": "", "algorithm": "HS256", "file": str(folder / "secret")}, *keys], "issuer": ISSUER, "audience": AUDIENCE, "server": "https://id.example/get"}
