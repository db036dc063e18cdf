from gateway.client.line import Line


class Channel:
    def __init__(self, name, made):
        self.name, self.made = name, made

    def unary_unary(self, method, **how):
        self.made.append((self.name, method, how))
        return lambda request, timeout: (self.name, request, timeout)

    unary_stream = stream_stream = unary_unary


def test_a_stub_made_once_calls_over_the_channel_that_is_open_by_then():
    made, channels = [], []
    line = Line(lambda: channels[-1])
    for kind in (line.unary_unary, line.unary_stream, line.stream_stream):
        rpc = kind("/method", response_deserializer=len)
        for name in ("old", "new"):
            channels.append(Channel(name, made))
            assert rpc(b"request", timeout=3) == (name, b"request", 3)
    assert made[0] == ("old", "/method", {"response_deserializer": len})
