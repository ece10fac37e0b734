"""What the gateway counts, as a Prometheus reads it."""

from prometheus_client.parser import text_string_to_metric_families

from tests.contracts.scripted_stream import ScriptedStream, words
from tests.unit.serving.gateway.conftest import Gateway, OpenGateway


async def value_by_sample(gateway: Gateway) -> dict[str, float]:
    reply = await gateway.ask("/metrics")
    assert reply.headers["Content-Type"].startswith("text/plain")
    samples = [
        sample for family in text_string_to_metric_families(reply.text) for sample in family.samples
    ]
    return {
        " ".join(
            [
                sample.name.removeprefix("promptray_door_"),
                *(f"{key}={text}" for key, text in sorted(sample.labels.items())),
            ]
        ): sample.value
        for sample in samples
    }


async def test_requests_tokens_and_refusals_are_counted(open_gateway: OpenGateway) -> None:
    gateway = await open_gateway(ScriptedStream(words))
    await gateway.chat("a b")
    await gateway.chat("a b c", stream=True)
    await gateway.complete(["a", "b"])
    await gateway.chat("refuse")
    await gateway.chat(temperature=9)
    await gateway.chat(model="a name that somebody made up")
    await gateway.ask("/a/path/that/somebody/made/up")
    counted = await value_by_sample(gateway)
    assert counted["requests_total model=echo route=chat status=200"] == 2
    assert counted["requests_total model=echo route=chat status=400"] == 1
    assert counted["requests_total model=echo route=completions status=200"] == 1
    assert counted["requests_total model= route=chat status=404"] == 1
    assert counted["requests_total model= route=other status=404"] == 1
    assert counted["request_seconds_count model=echo route=chat"] == 3
    assert counted["tokens_total kind=prompt model=echo"] == 16
    assert counted["tokens_total kind=completion model=echo"] == 7
    assert counted["tokens_total kind=cached model=echo"] == 8
    assert {
        reason: counted[f"refusals_total reason={reason}"]
        for reason in ("request_refused", "invalid_value", "model_not_found", "unknown_url")
    } == {"request_refused": 1, "invalid_value": 1, "model_not_found": 1, "unknown_url": 1}
    assert counted["in_flight"] == 1  # the one that asks for this
    assert "somebody" not in str(counted)


async def test_two_gateways_do_not_share_their_counts(open_gateway: OpenGateway) -> None:
    one, other = await open_gateway(), await open_gateway()
    await one.chat()
    assert "requests_total model=echo route=chat status=200" in await value_by_sample(one)
    assert "requests_total model=echo route=chat status=200" not in await value_by_sample(other)
