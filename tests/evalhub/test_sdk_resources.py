"""eval-hub-sdk 1.0.6, unmodified: what its clients do with health, providers, benchmarks and collections."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from evalhub.models import (
    AgentMetadata,
    Benchmark,
    BenchmarkAgentMetadata,
    BenchmarkReference,
    CollectionCreateRequest,
    CollectionList,
    PassCriteria,
    PrimaryScore,
    ProviderCreateRequest,
    ProviderList,
    ScoreRange,
)

from assay import __version__
from tests.evalhub.live import Live
from tests.evalhub.sdk_clients import Connect
from tests.evalhub.test_own_resources import COLLECTIONS
from tests.server.client import PROVIDERS, unique


def provider(**members: Any) -> dict[str, Any]:
    """Return the body of a provider in which every member that the SDK knows has a value."""
    request = ProviderCreateRequest(
        name="mine",
        title="Mine",
        description="All that can be said of a provider.",
        tags=["one", "two"],
        runtime={
            "local": {"command": "true", "env": [{"Name": "A", "Value": "b"}]},
            "k8s": {"Image": "registry.example/x:1"},
        },
        benchmarks=[
            Benchmark(
                id="b0",
                url="http://about.example/b0",
                name="B0",
                description="A benchmark.",
                category="reasoning",
                metrics=["acc", "f1"],
                num_few_shot=5,
                dataset_size=100,
                tags=["small"],
                primary_score=PrimaryScore(metric="acc", lower_is_better=True),
                pass_criteria=PassCriteria(threshold=0.0),
                agent=BenchmarkAgentMetadata(
                    result_interpretation="Higher is better.", score_ranges=[ScoreRange(range="0-50", meaning="guessing")]
                ),
            ),
            Benchmark(id="b1", name="B1", category="code"),
        ],
    )
    return dict(request.model_dump(mode="json")) | members


def collection(**members: Any) -> dict[str, Any]:
    """Return the body of a collection in which every member that the SDK knows has a value."""
    request = CollectionCreateRequest(
        name="mine",
        description="All that can be said of a collection.",
        category="general",
        tags=["one", "two"],
        custom={"a": [1, {"b": None}]},
        pass_criteria=PassCriteria(threshold=0.5),
        benchmarks=[
            BenchmarkReference(
                id="b0",
                provider_id="by-hand",
                weight=2.5,
                parameters={"num_examples": 3},
                primary_score=PrimaryScore(metric="acc"),
                pass_criteria=PassCriteria(threshold=0.25),
            ),
            BenchmarkReference(id="b1", provider_id="by-hand"),
        ],
    )
    return dict(request.model_dump(mode="json")) | members


def without_nulls(value: Any) -> Any:
    """Return a document without the members that are null."""
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def refusal(call: Any, *given: Any) -> tuple[int, str]:
    """Return the status and the sentence with which a call is refused."""
    with pytest.raises(httpx.HTTPStatusError) as refused:
        call(*given)
    body = refused.value.response.json()
    assert body["detail"] == body["message"]
    return refused.value.response.status_code, body["message"]


def test_health_tells_the_state_and_the_version(client: Any) -> None:
    health = client.health()
    assert (health["status"], health["build"]) == ("healthy", __version__)


def test_a_client_needs_no_tenant_and_a_token_does_no_harm(connect: Connect) -> None:
    for options in ({}, {"auth_token": "anything"}):
        assert "manual" in [listed.resource.id for listed in connect(**options).providers.list()]


def test_the_providers_of_the_catalogue_are_on_the_first_page(client: Any) -> None:
    listed = [found.resource.id for found in client.providers.list()]
    assert {"practice", "lm_eval", "manual", "sdk"} <= set(listed)
    assert {"lm_evaluation_harness", "lighteval", "garak"} <= set(listed)


def test_providers_are_found_by_what_they_evaluate(client: Any) -> None:
    targets = {found.resource.id for found in client.providers.list(target_type="inference_server")}
    assert "guidellm" in targets
    assert "garak" not in targets
    assert "garak" in {found.resource.id for found in client.providers.list(evaluates="safety")}
    assert "lm_evaluation_harness" in {found.resource.id for found in client.providers.list(evaluates="reasoning")}
    words = [word for found in client.providers.list() if found.agent for word in found.agent.evaluates]
    assert not [word for word in words if " " in word], "the clients compare whole words, so a phrase finds nothing"


def test_every_member_of_a_provider_comes_back(client: Any) -> None:
    made = client.providers.create(provider())
    assert made.resource.id
    assert made.resource.created_at.tzinfo is not None
    found = client.providers.get(made.resource.id)
    assert found == made
    sent = provider()
    for name in ("name", "title", "description", "tags"):
        assert getattr(found, name) == sent[name]
    assert found.runtime["local"] == sent["runtime"]["local"]
    assert found.runtime["k8s"]["Image"] == "registry.example/x:1"
    assert [without_nulls(one.model_dump(mode="json")) for one in found.benchmarks] == without_nulls(sent["benchmarks"])


def test_a_provider_is_replaced_patched_and_deleted(client: Any) -> None:
    made = client.providers.create(provider())
    replaced = client.providers.update(made.resource.id, provider(name="other", tags=[]))
    assert (replaced.name, replaced.tags, replaced.resource.created_at) == ("other", [], made.resource.created_at)
    patched = client.providers.patch(made.resource.id, {"name": "third", "description": None})
    assert (patched.name, patched.description, patched.title) == ("third", None, "Mine")
    again = client.providers.patch(made.resource.id, [{"op": "replace", "path": "/name", "value": "fourth"}])
    assert again.name == client.providers.get(made.resource.id).name == "fourth"
    client.providers.delete(made.resource.id)
    assert made.resource.id not in [listed.resource.id for listed in client.providers.list()]
    for call in (client.providers.get, client.providers.delete):
        assert refusal(call, made.resource.id) == (404, f"The provider resource '{made.resource.id}' was not found.")


def test_what_a_provider_says_to_agents_is_read(client: Any) -> None:
    advice = AgentMetadata(
        evaluates=["robustness"],
        recommended_when=["always"],
        target_type="agent",
        summary="For agents.",
        complements=["garak"],
        hints=["Be patient."],
        result_interpretation=["Less is more."],
    )
    made = client.providers.create(provider(agent=advice.model_dump(mode="json")))
    assert made.agent == advice
    assert [found.resource.id for found in client.providers.list(target_type="agent", evaluates="robustness")] == [
        made.resource.id
    ]
    harness = client.providers.get("lm_evaluation_harness")
    assert harness.agent.summary
    assert len(harness.benchmarks[0].agent.score_ranges) >= 2


def test_a_provider_with_nothing_but_a_name_can_be_read(client: Any) -> None:
    made = client.providers.create({"name": "bare"})
    assert (made.title, made.tags, made.benchmarks) == ("", [], [])
    assert made.resource.id in [listed.resource.id for listed in client.providers.list()]


def test_what_is_wrong_with_a_provider_is_said(client: Any) -> None:
    status, message = refusal(client.providers.create, provider(tags=["a,b"]))
    assert status == 400
    assert "ProviderConfig.tags[0]" in message
    for call in (lambda: client.providers.update("practice", provider()), lambda: client.providers.patch("practice", {})):
        assert refusal(call) == (400, "Provider 'practice' cannot be modified or deleted.")
    assert refusal(client.providers.delete, "practice") == (400, "Provider 'practice' cannot be modified or deleted.")


def test_benchmarks_are_chosen_by_provider_category_and_number(client: Any) -> None:
    made = client.providers.create(provider())
    ours = client.benchmarks.list(provider_id=made.resource.id)
    assert [benchmark.id for benchmark in ours] == ["b0", "b1"]
    assert [benchmark.id for benchmark in client.benchmarks.list(provider_id=made.resource.id, category="code")] == ["b1"]
    everything = client.benchmarks.list()
    assert len(everything) > 200
    assert client.benchmarks.list(limit=7) == everything[:7]


def test_the_collections_of_the_catalogue_can_be_read(client: Any) -> None:
    listed = client.collections.list()
    assert {"leaderboard-v2", "practice-v1", "safety-and-fairness-v1"} <= {found.resource.id for found in listed}
    safety = client.collections.get("safety-and-fairness-v1")
    assert len(safety.benchmarks) == 6
    assert safety.pass_criteria.threshold > 0
    assert safety in listed


def test_every_member_of_a_collection_comes_back(client: Any) -> None:
    made = client.collections.create(collection())
    found = client.collections.get(made.resource.id)
    assert found == made
    assert without_nulls(found.model_dump(mode="json", exclude={"resource"})) == without_nulls(collection())
    assert found.custom == collection()["custom"]


def test_a_collection_is_replaced_patched_and_deleted(client: Any) -> None:
    made = client.collections.create(collection())
    replaced = client.collections.update(made.resource.id, collection(name="other", pass_criteria=None))
    assert (replaced.name, replaced.pass_criteria) == ("other", None)
    assert replaced.resource.created_at == made.resource.created_at
    patched = client.collections.patch(made.resource.id, {"category": "third", "custom": None})
    assert (patched.category, patched.custom, patched.name) == ("third", {}, "other")
    again = client.collections.patch(made.resource.id, [{"op": "add", "path": "/tags/-", "value": "three"}])
    assert again.tags == client.collections.get(made.resource.id).tags == ["one", "two", "three"]
    client.collections.delete(made.resource.id)
    for call in (client.collections.get, client.collections.delete):
        assert refusal(call, made.resource.id) == (404, f"The collection resource '{made.resource.id}' was not found.")


def test_what_is_wrong_with_a_collection_is_said(client: Any) -> None:
    status, message = refusal(client.collections.create, collection(benchmarks=[]))
    assert status == 400
    assert "CollectionConfig.benchmarks" in message
    assert "failed on the 'min' tag" in message
    for call in (lambda: client.collections.patch("practice-v1", {}), lambda: client.collections.delete("practice-v1")):
        assert refusal(call) == (400, "Collection 'practice-v1' cannot be modified or deleted.")


def test_a_tenant_may_be_named_for_a_single_call(client: Any) -> None:
    other = unique("sdk")
    made = client.providers.create(provider(), tenant=other)
    assert made.resource.tenant == other
    kept = client.collections.create(collection(), tenant=other)
    for list_, id_ in ((client.providers.list, made.resource.id), (client.collections.list, kept.resource.id)):
        assert id_ in [found.resource.id for found in list_(tenant=other)]
        assert id_ not in [found.resource.id for found in list_()]
    assert "b1" in [benchmark.id for benchmark in client.benchmarks.list(provider_id=made.resource.id, tenant=other)]
    assert client.providers.get(made.resource.id, tenant=other) == made
    assert refusal(client.providers.get, made.resource.id)[0] == 404
    assert refusal(client.collections.get, kept.resource.id)[0] == 404


def test_the_models_of_the_sdk_read_every_page(client: Any, live: Live, tenant_name: str) -> None:
    for number in range(3):
        client.providers.create(provider(name=f"p{number}"))
        client.collections.create(collection(name=f"c{number}"))
    api = live.api.as_(x_tenant=tenant_name)
    for path, model in ((PROVIDERS, ProviderList), (COLLECTIONS, CollectionList)):
        names, href = [], f"{path}?scope=tenant&limit=2"
        while href:
            page = api.get(href).json
            read = model(**page)
            assert read.total_count == 3
            names += [item.name for item in read.items]
            href = page.get("next", {}).get("href", "")
        assert [name[1:] for name in names] == ["2", "1", "0"]
