#!/usr/bin/env python3
"""Usage: tests/official/check.py WARMLINE

Lets the providers' own libraries be the other side: they sign the webhooks that the program WARMLINE verifies, and know
every element, attribute and field of what it answers. What it asks the providers' APIs for stands in requests.json, which its
own tests hold it to; the libraries are made to ask for the same here, and have to agree. Needs the packages of requirements.txt;
starts its own servers on the loopback, without models. Exits with 1 when something does not fit.
"""

import base64
import hashlib
import http.server
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import typing
import urllib.error
import urllib.parse
import urllib.request
import uuid
import xml.etree.ElementTree as ElementTree

import jwt
import telnyx
from nacl.signing import SigningKey
from plivo.rest import client as plivo_client
from plivo.utils import signature_v3
from plivo.xml import streamElement
from requests.adapters import HTTPAdapter
from telnyx.types.calls import action_answer_params, action_start_streaming_params
from twilio.request_validator import RequestValidator
from twilio.rest import Client as TwilioClient
from twilio.twiml.voice_response import Connect, Stream, VoiceResponse
from vonage_http_client.auth import Auth
from vonage_http_client.http_client import HttpClient
from vonage_jwt.verify_jwt import verify_signature
from vonage_voice.models import connect_endpoints, ncco
from vonage_voice.models.requests import CreateCallRequest
from vonage_voice.voice import Voice

PATIENCE_S = 60
CALL = {"From": "+15005550006", "To": "+15005550001", "CallStatus": "ringing", "Direction": "inbound"}
VONAGE_SECRET = "a secret of Vonage, of 32 bytes or more"
KEY = SigningKey(bytes(range(32)))
TESTS = pathlib.Path(__file__).resolve().parent.parent
REQUESTS = json.loads((TESTS / "official/requests.json").read_text())
VONAGE_KEY = (TESTS / "fixtures/vonage/application.pem").read_text()
failures = []


def expect(what, found, wanted=True):
    """Notes what does not fit, and goes on."""
    print(f"{'ok  ' if found == wanted else 'FAIL'} {what}")
    if found != wanted:
        failures.append(what)
        print(f"     found {found!r}, wanted {wanted!r}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def post(url, body, headers, kind="application/x-www-form-urlencoded"):
    """Status and body of a POST."""
    request = urllib.request.Request(url, body.encode(), {"content-type": kind, **headers})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Api(http.server.BaseHTTPRequestHandler):
    """Telnyx' API: keeps what it was asked."""

    asked: typing.ClassVar[list] = []

    @classmethod
    def after(cls, n):
        """The last request, once there are more than `n`."""
        until = time.monotonic() + PATIENCE_S
        while len(cls.asked) <= n and time.monotonic() < until:
            time.sleep(0.05)
        return cls.asked[-1]

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append((self.path, self.headers["authorization"], body))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"data":{"result":"ok"}}')

    def log_message(self, *_):
        pass


class Recorder(http.server.BaseHTTPRequestHandler):
    """Any provider's API: keeps each request whole, and says yes to all of them."""

    asked: typing.ClassVar[list] = []
    # Each library looks for its own.
    answer: typing.ClassVar[dict] = {
        "sid": "c9",
        "request_uuid": "c9",
        "message": "call fired",
        "api_id": "x",
        "uuid": "c9",
        "status": "started",
        "direction": "outbound",
        "conversation_uuid": "CON-1",
        "data": {"call_control_id": "c9", "call_leg_id": "l", "call_session_id": "s", "record_type": "call", "is_alive": True},
    }

    def keep(self):
        body = self.rfile.read(int(self.headers["content-length"] or 0)).decode()
        self.asked.append((self.command, self.path, self.headers["authorization"], body))
        silent = self.command in ("PUT", "DELETE")
        self.send_response(204 if silent else 201)
        self.send_header("content-type", "application/json")
        said = b"" if silent else json.dumps(self.answer).encode()
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_POST = do_PUT = do_DELETE = keep

    def log_message(self, *_):
        pass


class ToLoopback(HTTPAdapter):
    """For libraries that know one address only."""

    def __init__(self, base):
        super().__init__()
        self.base = base

    def send(self, request, **more):
        parts = urllib.parse.urlsplit(request.url)
        request.url = self.base + parts.path + (f"?{parts.query}" if parts.query else "")
        return super().send(request, **{**more, "proxies": {}})


def agree(provider, what, ask, more_is_fine=False):
    """The library's request, made by `ask`, is the one of requests.json."""
    wanted = REQUESTS[provider][what]
    before = len(Recorder.asked)
    ask()
    sent = Recorder.asked[before:]
    # SignalWire's is Twilio's with another address.
    name = f"{provider}: the library asks for `{what}` as we do"
    if len(sent) != 1:
        return expect(name, len(sent), 1)
    method, target, authorization, body = sent[0]
    expect(f"{name}: method and path", (method, target), (wanted["method"], wanted["target"]))
    if wanted["authorization"] == "Bearer JWT":
        scheme, token = authorization.split()
        claims = jwt.decode(token, options={"verify_signature": False})
        found = (scheme, jwt.get_unverified_header(token)["alg"], sorted(claims))
        expect(f"{name}: a token of the application", found, ("Bearer", "RS256", ["application_id", "exp", "iat", "jti"]))
    else:
        expect(f"{name}: credentials", authorization, wanted["authorization"])
    if "form" in wanted:
        # Telnyx' library writes JSON where Telnyx' reference asks for a form.
        found = json.loads(body) if body.startswith("{") else dict(urllib.parse.parse_qsl(body))
        ours = wanted["form"]
    else:
        found, ours = json.loads(body or "null"), wanted.get("json")
    if more_is_fine:
        found = {field: found.get(field) for field in ours}
    expect(f"{name}: body", found, ours)


def twilio_api(base):
    for provider, account, secret, path in (("twilio", "AC1", "12345", ""), ("signalwire", "p-1", "PT1", "/api/laml")):
        client = TwilioClient(account, secret)
        client.api.base_url = base + path
        ours = lambda name: f"https://voice.example.com/voice/{provider}/{name}"
        agree(provider, "move", lambda: client.calls("c1").update(url=ours("after"), method="POST"))
        call = {
            "to": "+15005550006",
            "from_": "+15005550100",
            "url": ours("answered?call=k1"),
            "status_callback": ours("dialled?call=k1"),
            "timeout": 25,
            "machine_detection": "Enable",
        }
        agree(provider, "call", lambda: client.calls.create(**call))
        agree(provider, "end", lambda: client.calls("c9").update(status="completed"))


def plivo_api(base):
    plivo_client.API_VOICE_BASE_URI = f"{base}/v1/Account"
    client = plivo_client.Client("MA" + "X" * 18, "12345")
    client.session.auth = ("MA1", "12345")
    ours = lambda what: dict(REQUESTS["plivo"][what]["json"])
    # It repeats the call in the body.
    agree("plivo", "move", lambda: client.calls.transfer("c1", **ours("move")), more_is_fine=True)
    call = ours("call")
    call["from_"], call["to_"] = call.pop("from"), call.pop("to")
    # It sends its defaults besides.
    agree("plivo", "call", lambda: client.calls.create(**call), more_is_fine=True)
    agree("plivo", "end", lambda: client.calls.cancel("c9"))


def telnyx_api(base):
    client = telnyx.Telnyx(api_key="KEY", base_url=f"{base}/v2", max_retries=0)
    call = dict(REQUESTS["telnyx"]["call"]["json"])
    call["from_"] = call.pop("from")
    move = {name.lower(): value for name, value in REQUESTS["telnyx"]["move"]["form"].items()}
    agree("telnyx", "move", lambda: client.texml.accounts.calls.update("c1", account_sid="acc-1", **move))
    agree("telnyx", "call", lambda: client.calls.dial(**call))
    agree("telnyx", "end", lambda: client.calls.actions.hangup("c9", command_id="c9-end"))


def vonage_api(base):
    client = HttpClient(Auth(application_id="app-1", private_key=VONAGE_KEY))
    client._session.mount("https://", ToLoopback(base))
    client._session.trust_env = False
    voice = Voice(client)
    actions = {"stream": ncco.Stream, "notify": ncco.Notify, "conversation": ncco.Conversation}
    for what in ("move", "join"):
        wanted = REQUESTS["vonage"][what]["json"]["destination"]["ncco"]
        theirs = [actions[action["action"]](**{k: v for k, v in action.items() if k != "action"}) for action in wanted]
        agree("vonage", what, lambda theirs=theirs: voice.transfer_call_ncco("c3", theirs))
    for what in ("person", "call"):
        call = dict(REQUESTS["vonage"][what]["json"])
        call["from_"] = call.pop("from")
        agree("vonage", what, lambda call=call: voice.create_call(CreateCallRequest(**call)))
    agree("vonage", "end", lambda: voice.hangup("c9"))


def twilio(base):
    url, form = f"{base}/voice/twilio/incoming", {"CallSid": "CA1", **CALL}
    headers = {"X-Twilio-Signature": RequestValidator("twilio-token").compute_signature(url, form)}
    status, document = post(url, urllib.parse.urlencode(form), headers)
    expect("Twilio's library signs, we take it", status, 200)
    expect("… and not with another caller", post(url, urllib.parse.urlencode({**form, "From": "+1"}), headers)[0], 403)
    stream = ElementTree.fromstring(document).find("Connect/Stream")
    ours = Stream(url=stream.get("url"), status_callback=stream.get("statusCallback"))
    for parameter in stream:
        ours.parameter(name=parameter.get("name"), value=parameter.get("value"))
    theirs = VoiceResponse()
    connect = Connect()
    connect.append(ours)
    theirs.append(connect)
    theirs.redirect(f"{base}/voice/twilio/after")
    canonical = lambda text: ElementTree.canonicalize(text, strip_text=True)
    expect("Twilio's library writes the same TwiML", canonical(document), canonical(str(theirs)))


def plivo(base):
    url, form = f"{base}/voice/plivo/incoming", {"CallUUID": "c-1", **CALL}

    def headers(nonce):
        text = signature_v3.construct_post_url(url, dict(form)).decode()
        signature = signature_v3.get_signature_v3("plivo-token", text, nonce)
        return {"X-Plivo-Signature-V3": signature.decode(), "X-Plivo-Signature-V3-Nonce": nonce}

    status, document = post(url, urllib.parse.urlencode(form), headers("1"))
    expect("Plivo's library signs, we take it", status, 200)
    expect("… and not twice", post(url, urllib.parse.urlencode(form), headers("1"))[0], 403)
    expect("… and not with another caller", post(url, urllib.parse.urlencode({**form, "From": "1"}), headers("2"))[0], 403)
    stream = ElementTree.fromstring(document).find("Stream")
    typed = {name: value == "true" if value in ("true", "false") else value for name, value in stream.attrib.items()}
    typed["streamTimeout"] = int(typed["streamTimeout"])
    theirs = ElementTree.fromstring(streamElement.StreamElement(stream.text, **typed).to_string())
    expect("Plivo's library knows every attribute of ours", dict(theirs.attrib), dict(stream.attrib))
    expect("… and the address as text", theirs.text.strip(), stream.text)


def telnyx_signed(body):
    stamp = str(int(time.time()))
    signature = KEY.sign(f"{stamp}|{body}".encode()).signature
    return {"telnyx-timestamp": stamp, "telnyx-signature-ed25519": base64.b64encode(signature).decode()}


def call_control(base):
    payload = {"call_control_id": "v3:call", "direction": "incoming", "from": CALL["From"], "to": CALL["To"]}
    body = json.dumps({"data": {"id": "e-1", "record_type": "event", "event_type": "call.initiated", "payload": payload}})
    headers = telnyx_signed(body)
    client = telnyx.Telnyx(api_key="KEY", public_key=base64.b64encode(KEY.verify_key.encode()).decode())
    event = client.webhooks.unwrap(body, headers=headers)
    expect("Telnyx' library takes the event for one of theirs", event.data.event_type, "call.initiated")
    status, _ = post(f"{base}/voice/telnyx/incoming", body, headers, "application/json")
    expect("… and so do we", status, 200)
    tampered = body.replace("v3:call", "v3:cell")
    expect("… and not a changed one", post(f"{base}/voice/telnyx/incoming", tampered, headers, "application/json")[0], 403)
    (path, key, answer) = Api.after(0)
    expect("the first command goes where it should", (path, key), ("/v2/calls/v3:call/actions/answer", "Bearer KEY"))
    known = typing.get_type_hints(action_answer_params.ActionAnswerParams)
    expect("Telnyx' library knows every field of it", sorted(set(answer) - set(known)), [])
    payload = {"call_control_id": "v3:call", "client_state": answer["client_state"]}
    body = json.dumps({"data": {"id": "e-2", "record_type": "event", "event_type": "call.answered", "payload": payload}})
    before = len(Api.asked)
    post(f"{base}/voice/telnyx/incoming", body, telnyx_signed(body), "application/json")
    (path, key, answer) = Api.after(before)
    expect("so does the second", (path, key), ("/v2/calls/v3:call/actions/streaming_start", "Bearer KEY"))
    known = typing.get_type_hints(action_start_streaming_params.ActionStartStreamingParams)
    expect("Telnyx' library knows every field of it", sorted(set(answer) - set(known)), [])
    for field in ("stream_track", "stream_codec", "stream_bidirectional_codec", "stream_bidirectional_mode"):
        hint = str(known[field])
        expect(f"… and the value of {field}", repr(answer[field]) in hint, True)


def vonage(base):
    url, secret = f"{base}/voice/vonage/incoming", VONAGE_SECRET
    body = json.dumps({"uuid": "u-1", "conversation_uuid": "CON-1", "from": CALL["From"][1:], "to": CALL["To"][1:]})

    def headers(covered=body, key=secret):
        claims = {"iat": int(time.time()), "jti": str(uuid.uuid4()), "iss": "Vonage", "api_key": "k"}
        claims["payload_hash"] = hashlib.sha256(covered.encode()).hexdigest()
        token = jwt.encode(claims, key, algorithm="HS256")
        expect("Vonage's library finds the signature it should", verify_signature(token, secret), key == secret)
        return {"Authorization": f"Bearer {token}"}

    status, answer = post(url, body, headers(), "application/json")
    expect("… and so do we", status, 200)
    expect("… and not with another caller", post(url, body.replace("6", "7"), headers(), "application/json")[0], 403)
    expect("… nor by another key", post(url, body, headers(key=secret[::-1]), "application/json")[0], 403)
    (action,) = json.loads(answer)
    (endpoint,) = action.pop("endpoint")
    # Their models drop what they do not know: what comes back whole was known.
    theirs = connect_endpoints.WebsocketEndpoint(**{"contentType": endpoint["content-type"], **endpoint})
    written = theirs.model_dump(mode="json", by_alias=True, exclude_none=True)
    expect("Vonage's library knows every field of the endpoint", written, endpoint)
    theirs = ncco.Connect(**{"from_": action["from"], **action}, endpoint=[theirs])
    written = theirs.model_dump(mode="json", by_alias=True, exclude_none=True)
    expect("… and every field of the action", {**action, "endpoint": [endpoint]}, written)


def main(program):
    port, api_port, recorder_port = free_port(), free_port(), free_port()
    base = f"http://127.0.0.1:{port}"
    for at, handler in ((api_port, Api), (recorder_port, Recorder)):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", at), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["NO_PROXY"] = "127.0.0.1"
    for check in (twilio_api, plivo_api, telnyx_api, vonage_api):
        check(f"http://127.0.0.1:{recorder_port}")
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "WARMLINE_SERVER__LISTEN": f"127.0.0.1:{port}",
            "WARMLINE_SERVER__DATA_DIR": folder,
            "WARMLINE_SERVER__CALLS_PER_MINUTE_PER_CALLER": "1000",
            "WARMLINE_TWILIO__AUTH_TOKEN": "twilio-token",
            "WARMLINE_PLIVO__AUTH_TOKEN": "plivo-token",
            "WARMLINE_VONAGE__SIGNATURE_SECRET": VONAGE_SECRET,
            "WARMLINE_TELNYX__PUBLIC_KEY": base64.b64encode(KEY.verify_key.encode()).decode(),
            "WARMLINE_TELNYX__API_KEY": "KEY",
            "WARMLINE_TELNYX__API_URL": f"http://127.0.0.1:{api_port}",
            "WARMLINE_STT__ENGINE": "off",
            "WARMLINE_LLM__ENGINE": "off",
            "WARMLINE_VAD__ENGINE": "energy",
            "WARMLINE_TTS__ENGINE": "program",
            "NO_PROXY": "127.0.0.1",
        }
        server = subprocess.Popen([program, "serve"], cwd=folder, env=environment, stderr=subprocess.DEVNULL)
        try:
            until = time.monotonic() + PATIENCE_S
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                if server.poll() is not None or time.monotonic() > until:
                    sys.exit("the server did not start")
                time.sleep(0.05)
            twilio(base)
            plivo(base)
            call_control(base)
            vonage(base)
        finally:
            server.terminate()
            server.wait(PATIENCE_S)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
