//! The HTTP API: one file a resource, each with its routes first.
//!
//! A `Route` ties an endpoint of the protocol to a function from a request to an answer, and to what the documentation
//! says of it: there is one list, so what is documented is what is served. `gate` stands before every route: it counts,
//! limits, authenticates and decodes, so a handler sees only what has passed.

use axum::Router;
use axum::routing::{MethodFilter, on};

pub use error::ApiError;
pub use register::invite_hash;
pub(crate) use route::{Answer, Call, Caller, Nothing, Route, Stream, route, stream};

mod account;
mod credentials;
mod download;
mod enrolment;
mod error;
mod fallback;
mod gate;
mod identity;
mod login;
pub mod openapi;
mod register;
mod route;
mod sign_in;
mod spaces;

use crate::app::App;

/// Every route.
pub(crate) fn routes() -> Vec<Route> {
    let files = [
        identity::routes(),
        register::routes(),
        login::routes(),
        sign_in::routes(),
        account::routes(),
        credentials::routes(),
        download::routes(),
        enrolment::routes(),
        spaces::routes(),
    ];
    files.into_iter().flatten().collect()
}

/// The whole API as a service.
pub fn router(app: &App) -> Router {
    let mut router = Router::new();
    for route in routes() {
        let endpoint = route.endpoint;
        let filter = match endpoint.method {
            "GET" => MethodFilter::GET,
            "PUT" => MethodFilter::PUT,
            _ => MethodFilter::POST,
        };
        let app = app.clone();
        let route = std::sync::Arc::new(route);
        let serve = move |request| gate::serve(app.clone(), route.clone(), request);
        router = router.route(endpoint.path, on(filter, serve));
    }
    fallback::add(router, app)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use alcove_protocol::endpoint;

    #[test]
    fn every_endpoint_of_the_protocol_is_served_once() {
        let name = |endpoint: &endpoint::Endpoint| (endpoint.method, endpoint.path);
        let served: Vec<_> = super::routes().iter().map(|route| name(&route.endpoint)).collect();
        let distinct: BTreeSet<_> = served.iter().copied().collect();
        assert_eq!(served.len(), distinct.len());
        assert_eq!(distinct, endpoint::ALL.iter().map(name).collect());
    }
}
