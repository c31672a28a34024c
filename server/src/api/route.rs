//! A route: an endpoint, the function behind it, and what is to be known about both.

use std::net::IpAddr;

use alcove_crypto::ids::{AccountId, DeviceId};
use alcove_protocol::endpoint::Endpoint;
use alcove_protocol::limits::REQUEST_LEN_MAX;
use alcove_protocol::{Encoding, ErrorCode};
use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ApiError;
use super::openapi::Shape;
use crate::app::App;

/// What a handler gives.
pub(crate) type Answer<T> = Result<T, ApiError>;

/// What is known of a request beside its body.
pub(crate) struct Call {
    /// Who sends it, where the endpoint wants to know.
    pub(crate) caller: Option<Caller>,
    /// Where it comes from. Limits are kept by it; it is written down nowhere.
    pub(crate) address: IpAddr,
    /// The id in the path.
    pub(crate) id: Option<[u8; 16]>,
    /// `after` in the query.
    pub(crate) after: u64,
    /// In what the answer is to be written.
    pub(crate) encoding: Encoding,
}

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Device { account: AccountId, device: DeviceId },
    Password { account: AccountId, credentials: u64 },
}

impl Caller {
    pub(crate) fn account(&self) -> AccountId {
        match self {
            Self::Device { account, .. } | Self::Password { account, .. } => *account,
        }
    }
}

impl Call {
    /// The account that sends it.
    pub(crate) fn account(&self) -> Answer<AccountId> {
        self.caller.as_ref().map(Caller::account).ok_or_else(ApiError::unauthorized)
    }

    /// The device that sends it.
    pub(crate) fn device(&self) -> Answer<(AccountId, DeviceId)> {
        match self.caller {
            Some(Caller::Device { account, device }) => Ok((account, device)),
            _ => Err(ApiError::unauthorized()),
        }
    }

    /// The account whose password was given, and the version of the credentials that it belongs to.
    pub(crate) fn password(&self) -> Answer<(AccountId, u64)> {
        match self.caller {
            Some(Caller::Password { account, credentials }) => Ok((account, credentials)),
            _ => Err(ApiError::unauthorized()),
        }
    }

    /// The id in the path.
    pub(crate) fn id<T: From<[u8; 16]>>(&self) -> Answer<T> {
        self.id.map(T::from).ok_or_else(|| ApiError::malformed("The id in the path is not one."))
    }
}

/// The body of a request that has none.
#[derive(serde::Deserialize, JsonSchema)]
pub(crate) struct Nothing;

type Handler = Box<dyn Fn(App, Call, Encoding, Bytes) -> BoxFuture<'static, Answer<Response>> + Send + Sync>;

/// An endpoint that is served.
pub(crate) struct Route {
    pub(crate) endpoint: Endpoint,
    /// In a few words, for the documentation.
    pub(crate) summary: &'static str,
    /// The longest body.
    pub(crate) len_max: usize,
    /// The request's body, if it has one.
    pub(crate) takes: Option<Shape>,
    /// The answer's body.
    pub(crate) answers: Shape,
    /// Whether the answer is a stream of such bodies.
    pub(crate) streams: bool,
    /// The errors that are its own, beside those of every endpoint.
    pub(crate) refusals: &'static [ErrorCode],
    pub(crate) handler: Handler,
}

impl Route {
    /// The longest body, if it is not that of most requests.
    pub(crate) fn up_to(self, len_max: usize) -> Self {
        Self { len_max, ..self }
    }

    /// The errors that are its own.
    pub(crate) fn refuses(self, refusals: &'static [ErrorCode]) -> Self {
        Self { refusals, ..self }
    }
}

/// A route whose handler takes one body and gives one.
pub(crate) fn route<Q, A, F, Fut>(endpoint: Endpoint, summary: &'static str, handler: F) -> Route
where
    Q: DeserializeOwned + JsonSchema + Send + 'static,
    A: Serialize + JsonSchema + Send + 'static,
    F: Fn(App, Call, Q) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Answer<A>> + Send + 'static,
{
    let handler = move |app, call: Call, encoding: Encoding, body: Bytes| -> BoxFuture<'static, _> {
        Box::pin(async move {
            let request = if is_nothing::<Q>() {
                Encoding::Json.decode(b"null", 4)?
            } else {
                encoding.decode(&body, usize::MAX)?
            };
            // What was decoded is copied: the body need not stay.
            drop(body);
            let encoding = call.encoding;
            let answer = handler(app, call, request).await?;
            Ok(respond(encoding.media_type(), encoding.encode(&answer).into()))
        })
    };
    Route {
        endpoint,
        summary,
        len_max: if is_nothing::<Q>() { 0 } else { REQUEST_LEN_MAX },
        takes: (!is_nothing::<Q>()).then(Shape::of::<Q>),
        answers: Shape::of::<A>(),
        streams: false,
        refusals: &[],
        handler: Box::new(handler),
    }
}

/// Items one after another, written as they are read from the store.
pub(crate) type Stream<A> = futures_util::stream::BoxStream<'static, Answer<A>>;

/// A route without a request body that answers with a stream: CBOR items, or JSON a line each.
pub(crate) fn stream<A, F, Fut>(endpoint: Endpoint, summary: &'static str, handler: F) -> Route
where
    A: Serialize + JsonSchema + Send + 'static,
    F: Fn(App, Call) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Answer<Stream<A>>> + Send + 'static,
{
    use futures_util::StreamExt as _;
    let handler = move |app, call: Call, _: Encoding, _: Bytes| -> BoxFuture<'static, _> {
        Box::pin(async move {
            let encoding = call.encoding;
            let items = handler(app, call).await?.map(move |item| {
                let mut line = encoding
                    .encode(&item.map_err(|error| std::io::Error::other(error.code().as_str().to_owned()))?);
                if encoding == Encoding::Json {
                    line.push(b'\n');
                }
                Ok::<_, std::io::Error>(line)
            });
            Ok(respond(stream_type(encoding), Body::from_stream(items)))
        })
    };
    Route {
        endpoint,
        summary,
        len_max: 0,
        takes: None,
        answers: Shape::of::<A>(),
        streams: true,
        refusals: &[],
        handler: Box::new(handler),
    }
}

/// The media type of a stream.
pub(crate) fn stream_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Cbor => "application/cbor-seq",
        Encoding::Json => "application/x-ndjson",
    }
}

fn is_nothing<Q: 'static>() -> bool {
    std::any::TypeId::of::<Q>() == std::any::TypeId::of::<Nothing>()
}

fn respond(media_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
