from __future__ import annotations

import socket
import threading

import pytest

from assay.client import Http, ServerError, TimedOut, Unreachable

from .scripted import Reply, scripted


def test_requests_of_one_thread_share_a_connection() -> None:
    with scripted(Reply(body={}), Reply(body={})) as server:
        http = Http(server.url)
        http.request("GET", "/a")
        http.request("GET", "/b")
        assert server.asked[0].client == server.asked[1].client


def test_each_thread_has_a_connection_of_its_own() -> None:
    with scripted(Reply(body={}), Reply(body={})) as server:
        http = Http(server.url)
        http.request("GET", "/a")
        other = threading.Thread(target=lambda: http.request("GET", "/b"))
        other.start()
        other.join()
        assert server.asked[0].client != server.asked[1].client


def test_a_connection_that_the_server_has_closed_is_replaced_even_for_a_post() -> None:
    with scripted(Reply(close_after=True), Reply(body={"ok": True})) as server:
        http = Http(server.url)
        http.request("GET", "/a")
        server.wait_closed(1)
        assert http.request("POST", "/b", json={}).json() == {"ok": True}
        assert [asked.path for asked in server.asked] == ["/a", "/b"]


def test_a_kept_connection_that_breaks_during_a_request_is_tried_once_more_where_that_is_safe() -> None:
    with scripted(Reply(), Reply(hang_up=True), Reply(body=b"again")) as server:
        http = Http(server.url)
        http.request("GET", "/a")
        assert http.request("GET", "/b").body == b"again"


def test_a_post_without_idempotency_key_is_not_sent_twice() -> None:
    with scripted(Reply(), Reply(hang_up=True), Reply(body=b"again")) as server:
        http = Http(server.url)
        http.request("GET", "/a")
        with pytest.raises(Unreachable, match="closed the connection"):
            http.request("POST", "/b", json={})
        assert len(server.asked) == 2


def test_a_post_with_idempotency_key_is_sent_again_with_the_same_key() -> None:
    with scripted(Reply(), Reply(hang_up=True), Reply(body=b"again")) as server:
        http = Http(server.url)
        http.request("GET", "/a")
        http.request("POST", "/b", json={}, headers={"Idempotency-Key": "k"})
        assert [asked.headers["idempotency-key"] for asked in server.asked[1:]] == ["k", "k"]


def test_key_tenant_and_user_are_headers() -> None:
    with scripted(Reply()) as server:
        Http(server.url, key="secret-key", tenant="team", user="ann").request("GET", "/")
        headers = server.asked[0].headers
        assert (headers["authorization"], headers["x-tenant"], headers["x-user"]) == (
            "Bearer secret-key",
            "team",
            "ann",
        )


def test_a_header_cannot_be_smuggled_in_through_the_tenant() -> None:
    with pytest.raises(ValueError, match="X-Tenant"):
        Http("http://127.0.0.1:1", tenant="a\r\nX-User: system")


def test_query_values_are_encoded_and_none_is_left_out() -> None:
    with scripted(Reply()) as server:
        Http(server.url + "/base/").request("GET", "/x", query={"a": "1 2&", "b": None, "c": True, "d": 5})
        assert server.asked[0].path == "/base/x?a=1%202%26&c=true&d=5"


def test_an_error_body_becomes_an_exception_with_code_message_and_trace() -> None:
    body = {"message_code": "resource_not_found", "message": "It was not found.", "trace": "t-1"}
    with scripted(Reply(404, body)) as server, pytest.raises(ServerError, match="not found") as caught:
        Http(server.url).request("GET", "/")
    assert (caught.value.status, caught.value.code, caught.value.trace) == (404, "resource_not_found", "t-1")


def test_an_error_page_of_a_proxy_is_not_shown() -> None:
    reply = Reply(502, b"<html><h1>Bad Gateway</h1></html>", {"Retry-After": "7"})
    with scripted(reply) as server, pytest.raises(ServerError, match="502: Bad Gateway") as caught:
        Http(server.url).request("GET", "/")
    assert caught.value.retry_after == 7


def test_not_modified_is_an_answer() -> None:
    with scripted(Reply(304)) as server:
        assert Http(server.url).request("GET", "/").status == 304


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirection_is_no_success_and_says_where_it_leads(status: int) -> None:
    away = Reply(status, headers={"Location": "https://elsewhere.example/x"})
    with scripted(away, away) as server:
        http = Http(server.url)
        with pytest.raises(
            ServerError, match=rf"{status} and sends to https://elsewhere\.example/x: nothing was done.*--server"
        ):
            http.request("DELETE", "/x")
        with pytest.raises(ServerError, match="nothing was done"), http.stream("GET", "/x"):
            pass


def test_a_refused_connection_names_the_url_and_the_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Unreachable, match=f"{url}: connection refused.*assay serve"):
            Http(url).request("GET", "/")


def test_what_is_not_http_is_said_to_be_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n")

        talking = threading.Thread(target=speak)
        talking.start()
        with pytest.raises(Unreachable, match="does not speak HTTP"):
            Http(f"http://127.0.0.1:{listener.getsockname()[1]}").request("GET", "/")
        talking.join()


def test_silence_is_a_time_out_and_the_connection_is_not_used_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        http = Http(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout_s=0.05)
        with pytest.raises(TimedOut, match="did not answer within 0.05 s"):
            http.request("GET", "/")
        with pytest.raises(TimedOut):
            http.request("GET", "/")
        assert listener.accept()[1] != listener.accept()[1]


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://x", "http://", "http://h:99999", "http://h:x"])
def test_a_url_that_is_none_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ValueError, match=r"http://127\.0\.0\.1:8080"):
        Http(url)


@pytest.mark.parametrize("path", ["日本", "a b", "a\x7fb", "\udcff"])
def test_a_path_of_the_url_that_is_not_encoded_is_refused_in_words(path: str) -> None:
    with pytest.raises(ValueError, match="must be percent-encoded"):
        Http(f"http://127.0.0.1:1/{path}")


def test_a_path_of_the_url_that_is_encoded_is_sent_as_it_stands() -> None:
    with scripted(Reply()) as server:
        Http(f"{server.url}/%E6%97%A5").request("GET", "/x")
        assert server.asked[0].path == "/%E6%97%A5/x"


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="ASSAY_API_KEY") as caught:
        Http("http://ann:hunter2@example.org")
    assert "hunter2" not in str(caught.value)


def test_a_stream_yields_what_has_arrived_and_an_iterable_is_sent_in_chunks() -> None:
    with scripted(Reply(body=b"x" * 100_000), Reply()) as server:
        http = Http(server.url)
        with http.stream("GET", "/log") as answer:
            assert b"".join(answer.chunks) == b"x" * 100_000
        http.request("PUT", "/blob", body=iter([b"one", b"two"]))
        assert server.asked[1].body == b"onetwo"


def test_a_body_that_breaks_off_is_an_error() -> None:
    reply = Reply(body=b"half", headers={"Content-Length": "100"}, close_after=True)
    with scripted(reply) as server, pytest.raises(Unreachable, match="middle of its answer"):
        Http(server.url).request("GET", "/")


def test_a_stream_whose_server_hangs_up_before_it_answers_is_an_error_in_words() -> None:
    with (
        scripted(Reply(hang_up=True)) as server,
        pytest.raises(Unreachable, match="closed the connection without an answer"),
        Http(server.url).stream("GET", "/a"),
    ):
        pass
