//! What stands before every route, in this order: the address's limit, who is asking, the account's limit, the body. Nothing
//! of an account or a space answers before all of it has passed.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use alcove_protocol::endpoint::Access;
use alcove_protocol::{Encoding, ErrorCode};
use axum::body::{Body, Bytes};
use axum::extract::{RawPathParams, Request};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, request};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Answer, ApiError, Call, Caller, Route};
use crate::app::App;
use crate::limiter::AddressKey;
use crate::serve::{ClientAddress, Served};
use crate::tokens::{Bearer, Token};

/// Bodies up to here need no permit: what many small requests hold is bounded by the number of connections.
const SMALL_BODY_LEN: usize = 16 * 1024;

/// What is read of a body that is refused, and for how long.
const DISCARD_LEN_MAX: usize = 16 * 1024 * 1024;
const DISCARD_WAIT: Duration = Duration::from_secs(3);

/// How long a body may wait for memory.
const MEMORY_WAIT: Duration = Duration::from_secs(5);

pub(super) async fn serve(app: App, route: Arc<Route>, request: Request) -> Response {
    let (mut parts, mut body) = request.into_parts();
    let encoding = answer_encoding(&parts.headers);
    let limit = Duration::from_secs(app.config.server.request_timeout_s.into());
    let answer = match encoding {
        None => Err(not_acceptable()),
        Some(encoding) => {
            let passing = pass(&app, &route, &mut parts, &mut body, encoding);
            let late = |_| Err(ApiError::unavailable("This took too long."));
            tokio::time::timeout(limit, passing).await.unwrap_or_else(late)
        }
    };
    if answer.is_err() {
        discard(body).await;
    }
    let mut response = answer.unwrap_or_else(|error| {
        debug_assert!(
            super::openapi::refusals(&route).contains(error.code()),
            "{} {} answers {:?}, which its documentation does not know",
            route.endpoint.method,
            route.endpoint.path,
            error.code(),
        );
        error.respond(encoding.unwrap_or(Encoding::Json))
    });
    response.extensions_mut().insert(Served(route.endpoint));
    response
}

async fn pass(
    app: &App,
    route: &Route,
    parts: &mut request::Parts,
    body: &mut Body,
    encoding: Encoding,
) -> Answer<Response> {
    let address = address(parts);
    let now = Duration::from_millis(app.clock.now_ms());
    limit_address(app, address, now)?;
    let caller = authenticate(app, route.endpoint.access, &parts.headers).await?;
    if let Some(caller) = &caller {
        let limited = app.limits.accounts.check(caller.account(), now);
        limited.map_err(|wait| {
            app.metrics.rate_limited();
            ApiError::rate_limited(wait)
        })?;
    }
    let call = Call { caller, address, id: path_id(parts).await?, after: query_after(parts)?, encoding };
    let memory = if call.caller.is_some() { &app.body_memory } else { &app.strangers_memory };
    let (body_encoding, body, permit) = read_body(memory, route, &parts.headers, body).await?;
    let answer = (route.handler)(app.clone(), call, body_encoding, body).await;
    drop(permit);
    answer
}

/// Where the request comes from, as the listener found out.
pub(super) fn address(parts: &request::Parts) -> IpAddr {
    parts.extensions.get::<ClientAddress>().map_or(IpAddr::from([0, 0, 0, 0]), |client| client.0)
}

pub(super) fn limit_address(app: &App, address: IpAddr, now: Duration) -> Answer<()> {
    app.limits.requests.check(AddressKey::of(address), now).map_err(|wait| {
        app.metrics.rate_limited();
        ApiError::rate_limited(wait)
    })
}

async fn authenticate(app: &App, access: Access, headers: &HeaderMap) -> Answer<Option<Caller>> {
    let (device, password) = match access {
        // A signature is checked by the handler, which knows what it must cover.
        Access::Anybody | Access::Signature => return Ok(None),
        Access::Device => (true, false),
        Access::Password => (false, true),
        Access::Session => (true, true),
    };
    let text = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let text = text.strip_prefix("Bearer ").ok_or_else(ApiError::unauthorized)?;
    let token = app.tokens.recognise(text.trim(), app.clock.now_s()).ok_or_else(ApiError::unauthorized)?;
    match token.bearer {
        Bearer::Device { .. } if device => device_caller(app, &token).await.map(Some),
        Bearer::Password { .. } if password => password_caller(app, &token).await.map(Some),
        _ => Err(ApiError::new(ErrorCode::Unauthorized, "This request needs another kind of token.")),
    }
}

/// Each request looks the device up, so that a revoked one is out at once on every node.
async fn device_caller(app: &App, token: &Token) -> Answer<Caller> {
    let Bearer::Device { device, sessions } = token.bearer else { return Err(ApiError::unauthorized()) };
    let account = token.account;
    match app.devices.find(app.store.as_ref(), account, device).await? {
        Some(row) if row.blocked => Err(ApiError::revoked()),
        Some(row) if row.sessions == sessions && row.account_sessions == token.account_sessions => {
            Ok(Caller::Device { account, device })
        }
        Some(_) => Err(ApiError::unauthorized()),
        None => Err(gone(app, token).await),
    }
}

async fn password_caller(app: &App, token: &Token) -> Answer<Caller> {
    let Bearer::Password { credentials } = token.bearer else { return Err(ApiError::unauthorized()) };
    let account = token.account;
    if app.store.tombstone(account).await?.is_some() {
        return Err(ApiError::deleted());
    }
    let row = app.store.account(account).await?.ok_or_else(ApiError::unauthorized)?;
    // A change of password ends the sessions of the old one.
    let known = app.store.credentials(account).await?.iter().any(|set| set.version == credentials);
    if known && row.sessions == token.account_sessions {
        Ok(Caller::Password { account, credentials })
    } else {
        Err(ApiError::unauthorized())
    }
}

async fn gone(app: &App, token: &Token) -> ApiError {
    match app.store.tombstone(token.account).await {
        Ok(Some(_)) => ApiError::deleted(),
        Ok(None) => ApiError::unauthorized(),
        Err(error) => error.into(),
    }
}

/// The one id that a path may hold.
async fn path_id(parts: &mut request::Parts) -> Answer<Option<[u8; 16]>> {
    use axum::extract::FromRequestParts as _;
    let malformed = || ApiError::malformed("The id in the path is not 16 bytes in base64url.");
    let params = RawPathParams::from_request_parts(parts, &()).await.map_err(|_| malformed())?;
    let Some((_, text)) = params.iter().next() else { return Ok(None) };
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed())?;
    bytes.try_into().map(Some).map_err(|_| malformed())
}

/// `after` is the only thing that a query may hold.
fn query_after(parts: &request::Parts) -> Answer<u64> {
    match parts.uri.query().unwrap_or_default() {
        "" => Ok(0),
        query => query
            .strip_prefix("after=")
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| ApiError::malformed("The query is not `after=` and a number.")),
    }
}

/// What the answer is to be written in; JSON if the client does not say. The first that we speak is taken.
pub(super) fn answer_encoding(headers: &HeaderMap) -> Option<Encoding> {
    let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    if accepted.peek().is_none() {
        let sent = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        return Some(sent.and_then(Encoding::from_media_type).unwrap_or(Encoding::Json));
    }
    accepted.flat_map(|value| value.split(',')).find_map(|range| {
        let range = range.split(';').next().unwrap_or_default().trim();
        let any = ["*/*", "application/*", "application/x-ndjson"].contains(&range);
        let sequence = range.eq_ignore_ascii_case("application/cbor-seq").then_some(Encoding::Cbor);
        Encoding::from_media_type(range).or(sequence).or(any.then_some(Encoding::Json))
    })
}

fn not_acceptable() -> ApiError {
    ApiError::new(ErrorCode::NotAcceptable, "Answers are application/cbor or application/json.")
}

/// Reads the body, in memory that all requests share: too many large ones at once wait for each other.
async fn read_body(
    memory: &Arc<Semaphore>,
    route: &Route,
    headers: &HeaderMap,
    body: &mut Body,
) -> Answer<(Encoding, Bytes, Option<OwnedSemaphorePermit>)> {
    if route.takes.is_none() {
        return Ok((Encoding::Json, Bytes::new(), None));
    }
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let encoding = Encoding::from_media_type(media_type).ok_or_else(|| {
        ApiError::new(ErrorCode::UnsupportedMediaType, "A body is application/cbor or application/json.")
    })?;
    let declared = declared_len(headers);
    if declared.is_some_and(|len| len > route.len_max) {
        return Err(too_large(route));
    }
    let len = declared.unwrap_or(route.len_max);
    let permit = if len > SMALL_BODY_LEN { Some(take_memory(memory, len).await?) } else { None };
    let mut bytes = BytesMut::with_capacity(declared.unwrap_or(0));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::malformed("The body did not arrive whole."))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > route.len_max {
            return Err(too_large(route));
        }
        bytes.extend_from_slice(&data);
    }
    Ok((encoding, bytes.freeze(), permit))
}

fn declared_len(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn take_memory(memory: &Arc<Semaphore>, len: usize) -> Answer<OwnedSemaphorePermit> {
    // What is decoded lies beside what was sent.
    let kib = u32::try_from(2 * len / 1024).unwrap_or(u32::MAX);
    let waiting = tokio::time::timeout(MEMORY_WAIT, memory.clone().acquire_many_owned(kib));
    let busy = || ApiError::unavailable("Too many large requests at once.");
    waiting.await.map_err(|_| busy())?.map_err(|_| busy())
}

/// Reads the rest of a body that nobody wants, so that its sender gets to read why: a connection that is closed while
/// something is on its way loses the answer. Only so much, and only for so long.
async fn discard(mut body: Body) {
    let rest = async {
        let mut len = 0;
        while let Some(Ok(frame)) = body.frame().await {
            len += frame.data_ref().map_or(0, Bytes::len);
            if len > DISCARD_LEN_MAX {
                break;
            }
        }
    };
    drop(tokio::time::timeout(DISCARD_WAIT, rest).await);
}

fn too_large(route: &Route) -> ApiError {
    ApiError::new(ErrorCode::TooLarge, format!("The body has more than {} bytes.", route.len_max))
}
