import asyncio
from dataclasses import replace

import pytest

from audit_operator.cluster.resources import AUDIT_POLICY, EVENT, INPUT, LEASE, NAMESPACE
from audit_operator.cluster.rest import ApiError, ApiUnreachableError, InconsistentListError
from tests.cluster.fake_api_server import Fault


def status_of(name, **metadata):
    return {
        "apiVersion": AUDIT_POLICY.api_version,
        "kind": "AuditPolicy",
        "metadata": {"name": name, "namespace": "ns", **metadata},
        "status": {"x": 1},
    }


async def apply_status(client, body):
    return await client.apply(AUDIT_POLICY, body, field_manager="test", subresource="status")


async def test_a_list_is_read_page_by_page_to_its_end(api, client):
    for number in range(7):
        api.put(NAMESPACE, f"n{number}")
    listing = await client.list(NAMESPACE, lambda each: each["metadata"]["name"], page_size=3)
    assert listing.items == tuple(f"n{number}" for number in range(7))
    assert listing.resource_version == str(api.version)
    assert len(api.seen) == 3


async def test_a_list_whose_second_page_fails_is_no_list(api, client):
    for number in range(5):
        api.put(NAMESPACE, f"n{number}")
    api.faults.append(Fault("GET", "continue=", times=99, status=500))
    with pytest.raises(ApiError, match="500"):
        await client.list(NAMESPACE, dict, page_size=3)


async def test_pages_of_two_moments_are_no_list(api, client):
    for number in range(5):
        api.put(NAMESPACE, f"n{number}")
    answer = api._list

    def forgetful(request, resource, namespace):
        response = answer(request, resource, namespace)
        if "continue" in request.query:
            response.text = response.text.replace(f'"{api.version}"', '"999"')
        return response

    api._list = forgetful
    with pytest.raises(InconsistentListError):
        await client.list(NAMESPACE, dict, page_size=3)


async def test_only_labelled_config_maps_are_asked_for(api, client):
    await client.list(INPUT, dict)
    assert api.seen[0].query["labelSelector"] == "audit-operator.dev/input"


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_reads_and_applies_survive_passing_refusals(api, client, status):
    api.put(AUDIT_POLICY, "a", "ns")
    api.faults += [Fault("GET", "auditpolicies", times=2, status=status), Fault("PATCH", "", times=2, status=status)]
    await client.get(AUDIT_POLICY, name="a", namespace="ns")
    await apply_status(client, status_of("a"))
    assert api.get(AUDIT_POLICY, "a", "ns")["status"] == {"x": 1}


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
async def test_an_answer_that_repeating_cannot_change_is_not_repeated(api, client, status):
    api.faults.append(Fault("PATCH", "", times=99, status=status))
    with pytest.raises(ApiError) as caught:
        await apply_status(client, status_of("a"))
    assert caught.value.status == status
    assert len(api.seen) == 1


async def test_the_server_is_given_the_time_it_asks_for(api, client):
    api.put(AUDIT_POLICY, "a", "ns")
    api.faults.append(Fault("GET", "", status=429, headers={"Retry-After": "1"}))
    before = asyncio.get_running_loop().time()
    await client.get(AUDIT_POLICY, name="a", namespace="ns")
    assert asyncio.get_running_loop().time() - before >= 1.0


@pytest.mark.parametrize("drop", ["before", "after"])
async def test_an_apply_whose_response_is_lost_is_repeated(api, client, drop):
    api.put(AUDIT_POLICY, "a", "ns")
    api.faults.append(Fault("PATCH", "", drop=drop))
    document = await apply_status(client, status_of("a"))
    assert document["status"] == {"x": 1}
    assert len(api.writes()) == 2


async def test_a_create_that_may_have_happened_is_not_repeated(api, client):
    api.faults.append(Fault("POST", "", drop="after"))
    with pytest.raises(ApiUnreachableError):
        await client.create(EVENT, {"metadata": {"name": "e", "namespace": "ns"}})
    assert len(api.writes()) == 1


async def test_a_create_that_was_refused_for_load_is_repeated(api, client):
    api.faults.append(Fault("POST", "", status=429))
    await client.create(EVENT, {"metadata": {"name": "e", "namespace": "ns"}})
    assert api.get(EVENT, "e", "ns") is not None


async def test_a_server_that_never_answers_is_given_up(api, client):
    impatient = replace(client, timeouts=replace(client.timeouts, request=0.05), attempts=1)
    api.faults.append(Fault("GET", "", delay=5))
    with pytest.raises(ApiUnreachableError):
        await impatient.get(NAMESPACE, name="a")


async def test_a_replace_is_conditional_on_the_version_read(api, client):
    lease = api.put(LEASE, "l", "ns")
    api.put(LEASE, "l", "ns", spec={"holderIdentity": "other"})
    with pytest.raises(ApiError) as caught:
        await client.replace(LEASE, {**lease, "spec": {}})
    assert caught.value.conflict


async def test_status_is_not_written_to_an_object_that_was_recreated(api, client):
    api.put(AUDIT_POLICY, "a", "ns")
    with pytest.raises(ApiError) as caught:
        await apply_status(client, status_of("a", uid="an-earlier-one"))
    assert caught.value.conflict


async def test_an_object_that_was_recreated_is_not_deleted_for_the_former_one(api, client):
    there = api.put(LEASE, "l", "ns")
    with pytest.raises(ApiError) as caught:
        await client.delete(LEASE, name="l", namespace="ns", uid="an-earlier-one")
    assert caught.value.conflict
    await client.delete(LEASE, name="l", namespace="ns", uid=there["metadata"]["uid"])
    assert api.get(LEASE, "l", "ns") is None
    await client.delete(LEASE, name="l", namespace="ns")  # gone already is as good


async def test_one_object_can_be_asked_for_with_the_right_to_list_alone(api, client):
    for name in ("a", "b"):
        api.put(LEASE, name, "ns")
    one = replace(LEASE, field_selector="metadata.name=b")
    listing = await client.list(one, lambda each: each["metadata"]["name"], namespace="ns")
    assert listing.items == ("b",)


async def test_a_fenced_client_reads_but_does_not_write(api, client):
    class NotLeadingError(Exception):
        pass

    def fence():
        raise NotLeadingError

    fenced = replace(client, fence=fence)
    api.put(AUDIT_POLICY, "a", "ns")
    await fenced.get(AUDIT_POLICY, name="a", namespace="ns")
    with pytest.raises(NotLeadingError):
        await apply_status(fenced, status_of("a"))
    assert not api.writes()


async def test_an_answer_that_is_no_json_object_is_no_answer(api, client):
    async def handle(_request, _body):
        from aiohttp import web  # noqa: PLC0415

        return web.Response(text="<html>a proxy</html>")

    api._answer = handle
    with pytest.raises(ApiUnreachableError):
        await client.get(NAMESPACE, name="a")
