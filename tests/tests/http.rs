//! Goal: whatever is sent, the answer is one that the documentation knows, in the encoding that was asked for.

use alcove_protocol::endpoint::{self, Access};
use alcove_protocol::{Encoding, ErrorBody, ErrorCode};
use alcove_tests::client::{Api, path};
use alcove_tests::http::{Answered, Http};
use alcove_tests::server::unlimited;
use alcove_tests::world::World;
use http_body_util::Full;
use hyper::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

async fn world() -> World {
    World::each().await.swap_remove(0)
}

async fn ask(http: &mut Http, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answered {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    http.send(request.body(Full::new(body.to_vec().into())).unwrap()).await.unwrap()
}

fn code(answered: &Answered, encoding: Encoding) -> ErrorCode {
    assert_eq!(answered.headers["content-type"], encoding.media_type(), "{answered:?}");
    let body: ErrorBody = encoding.decode(&answered.body, usize::MAX).unwrap();
    assert_eq!(answered.status.as_u16(), body.code.status());
    assert!(!body.error.is_empty());
    body.code
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_is_a_code_and_a_sentence_in_both_encodings() {
    let world = world().await;
    let mut http = Http::new(&world.origins());
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let accept = ("accept", encoding.media_type());
        let sent = ("content-type", encoding.media_type());
        let whole = encoding.encode(&serde_json::json!({}));
        let unknown_field = encoding.encode(&serde_json::json!({ "x": 1 }));
        for (method, path, headers, body, expected) in [
            ("GET", "/", vec![accept], &[][..], ErrorCode::NotFound),
            ("GET", "/v1/none", vec![accept], &[], ErrorCode::NotFound),
            ("DELETE", "/v1/server", vec![accept], &[], ErrorCode::MethodNotAllowed),
            ("GET", "/v1/challenge", vec![accept], &[], ErrorCode::MethodNotAllowed),
            ("POST", "/v1/challenge", vec![accept], &whole, ErrorCode::UnsupportedMediaType),
            (
                "POST",
                "/v1/challenge",
                vec![accept, ("content-type", "text/plain")],
                &whole,
                ErrorCode::UnsupportedMediaType,
            ),
            ("POST", "/v1/challenge", vec![accept, sent], &unknown_field, ErrorCode::Malformed),
            ("POST", "/v1/challenge", vec![accept, sent], &[], ErrorCode::Malformed),
            ("POST", "/v1/challenge", vec![accept, sent], &[0xff; 100], ErrorCode::Malformed),
            ("POST", "/v1/challenge", vec![accept, sent], &vec![b' '; 300 * 1024], ErrorCode::TooLarge),
            ("POST", "/v1/login/start", vec![accept, sent], &whole, ErrorCode::Malformed),
            ("GET", "/v1/enrolments/short", vec![accept], &[], ErrorCode::Malformed),
            ("GET", "/v1/enrolments/AAAAAAAAAAAAAAAAAAAAAA", vec![accept], &[], ErrorCode::NotFound),
            ("GET", "/v1/server?before=1", vec![accept], &[], ErrorCode::Malformed),
            ("GET", "/v1/spaces", vec![accept], &[], ErrorCode::Unauthorized),
            ("GET", "/v1/spaces", vec![accept, ("authorization", "Basic x")], &[], ErrorCode::Unauthorized),
        ] {
            let answered = ask(&mut http, method, path, &headers, body).await;
            assert_eq!(code(&answered, encoding), expected, "{method} {path}");
            for header in
                ["x-request-id", "x-content-type-options", "cache-control", "content-security-policy"]
            {
                assert!(answered.headers.contains_key(header), "{header}");
            }
            assert!(!answered.headers.contains_key("access-control-allow-origin"));
        }
    }
    let answered = ask(&mut http, "GET", "/v1/server", &[("accept", "image/png")], &[]).await;
    assert_eq!(code(&answered, Encoding::Json), ErrorCode::NotAcceptable);
    for accept in ["*/*", "text/html,application/json;q=0.9", "application/cbor, application/json"] {
        assert!(ask(&mut http, "GET", "/v1/server", &[("accept", accept)], &[]).await.status.is_success());
    }
    let answered = ask(&mut http, "DELETE", "/v1/spaces", &[], &[]).await;
    assert_eq!(answered.headers["allow"], "GET, POST");
}

/// Attack 27: nothing of an account or a space answers before the login is finished.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_private_answers_without_a_token_or_signature() {
    let mut world = world().await;
    let (person, device, mut api) = world.somebody("anna").await.unwrap();
    let session = person.log_in(&mut api, false, &mut world.rng).await.unwrap().session.token;
    let id = device.space();
    for endpoint in endpoint::ALL {
        let (device_token, password_token) = (device.token.as_deref(), Some(session.as_str()));
        let wrong: &[Option<&str>] = match endpoint.access {
            Access::Anybody | Access::Signature => continue,
            Access::Device => &[None, Some("AAAA"), password_token],
            Access::Password => &[None, Some("AAAA"), device_token],
            Access::Session => &[None, Some("AAAA")],
        };
        for token in wrong {
            let refused = api
                .send(endpoint.method, &path(*endpoint, Some(id.as_bytes())), *token, b"\xa0".to_vec())
                .await;
            assert_eq!(refused.unwrap_err().code(), ErrorCode::Unauthorized, "{endpoint:?} {token:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_are_limited_by_address_and_by_account() {
    let mut config = unlimited();
    config.limits.requests_per_minute = 30;
    let world = World::each_with(&config).await.swap_remove(0);
    let mut api = Api::new(&world.origins());
    let mut taken = 0;
    let refused = loop {
        match api.send("GET", "/v1/server", None, vec![]).await {
            Ok(_) => taken += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!((taken, refused.code()), (30, ErrorCode::RateLimited));
    assert_eq!(refused.retry_after.unwrap(), "2");
    assert_eq!(api.send("GET", "/nowhere", None, vec![]).await.unwrap_err().code(), ErrorCode::RateLimited);
    world.shift(60);
    assert!(api.send("GET", "/v1/server", None, vec![]).await.is_ok());

    config.limits.requests_per_minute = 0;
    config.limits.account_requests_per_minute = 5;
    let mut world = World::each_with(&config).await.swap_remove(0);
    let (_, device, mut api) = world.somebody("anna").await.unwrap();
    let mut codes = vec![];
    for _ in 0..6 {
        codes.push(
            api.send("GET", "/v1/spaces", device.token.as_deref(), vec![])
                .await
                .err()
                .map(|refused| refused.code()),
        );
    }
    assert_eq!(codes.last(), Some(&Some(ErrorCode::RateLimited)));
    assert!(world.somebody("ben").await.is_ok(), "another account");
}

/// Who sends the head of a request for ever, or the body, or does not read the answer, is cut off.
#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_cut_off() {
    let mut config = unlimited();
    config.server.idle_timeout_s = 1;
    config.server.request_timeout_s = 1;
    let mut world = World::each_with(&config).await.swap_remove(0);
    let (_, mut device, mut api) = world.somebody("anna").await.unwrap();
    let address = world.nodes[0].address;
    for (sent, expected) in [
        ("", ""),
        ("GET /v1/server HT", ""),
        (
            "POST /v1/challenge HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\n{",
            "HTTP/1.1 503",
        ),
    ] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read =
            tokio::time::timeout(std::time::Duration::from_secs(8), stream.read_to_string(&mut answer)).await;
        assert!(read.is_ok(), "{sent:?} is not cut off");
        assert!(answer.starts_with(expected), "{answer}");
    }
    // Answers of 4 MiB that nobody reads: the connection goes, the server stays.
    let long = vec![7; 250 * 1024];
    for number in 0..16_u8 {
        device
            .push(&mut api, &[(alcove_crypto::ids::SlotId::new([number; 16]), Some(&long))], &mut world.rng)
            .await
            .unwrap();
    }
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let path = path(endpoint::PULL, Some(device.space().as_bytes()));
    let token = device.token.as_deref().unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\naccept: application/cbor\r\nauthorization: Bearer {token}\r\ncontent-length: 11\r\n\r\n{{\"after\":0}}"
    );
    stream.write_all(request.repeat(4).as_bytes()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    let mut read = 0;
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        read += count;
    }
    assert!(read < 16 << 20, "{read} bytes were sent to somebody who did not read");
    assert!(api.send("GET", "/v1/server", None, vec![]).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_served_and_compressed_and_nothing_else_is() {
    let world = world().await;
    let mut http = Http::new(&world.origins());
    let answered = ask(&mut http, "GET", "/openapi.json", &[], &[]).await;
    let document: serde_json::Value = serde_json::from_slice(&answered.body).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let accept = [("accept-encoding", "gzip")];
    assert_eq!(
        ask(&mut http, "GET", "/openapi.json", &accept, &[]).await.headers["content-encoding"],
        "gzip"
    );
    assert!(
        !ask(&mut http, "GET", "/v1/server", &accept, &[]).await.headers.contains_key("content-encoding")
    );
    assert!(ask(&mut http, "GET", "/ready", &[], &[]).await.status.is_success());
}
