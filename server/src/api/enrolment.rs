//! The mailbox of two devices. What lies in it is sealed or signed; the server reads nothing of it.

use alcove_protocol::enrolment::{AnswerEnrolment, AskEnrolment, Enrolment, OpenEnrolment};
use alcove_protocol::limits::{ACCOUNT_STATE_LEN_MAX, ACCOUNT_STATES_MAX, ENROLMENT_LIFETIME_S};
use alcove_protocol::server::Done;
use alcove_protocol::{Encoding, ErrorCode, Wire, endpoint};

use super::{Answer, ApiError, Call, Nothing, Route, route};
use crate::app::App;
use crate::store::NewEnrolment;

/// The longest request that a new device puts in.
const ASK_LEN_MAX: usize = 1024;

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(endpoint::ENROLMENT_OPEN, "Open a mailbox for a new device", open)
            .refuses(&[ErrorCode::Exists]),
        route(endpoint::ENROLMENT, "Look into a mailbox", look).refuses(&[ErrorCode::NotFound]),
        route(endpoint::ENROLMENT_ASK, "The new device asks", ask).up_to(2 * ASK_LEN_MAX).refuses(&[
            ErrorCode::NotFound,
            ErrorCode::Exists,
            ErrorCode::Invalid,
        ]),
        route(endpoint::ENROLMENT_ANSWER, "The trusted device answers", answer)
            .refuses(&[ErrorCode::NotFound, ErrorCode::Invalid]),
    ]
}

async fn open(app: App, call: Call, request: OpenEnrolment) -> Answer<Done> {
    let (account, _) = call.device()?;
    let now_s = app.clock.now_s();
    let enrolment = NewEnrolment {
        enrolment: request.id.0,
        account,
        ephemeral_key: request.ephemeral_key.0,
        now_s,
        expires_s: now_s + u64::from(ENROLMENT_LIFETIME_S),
    };
    app.store.open_enrolment(enrolment).await?;
    Ok(Done {})
}

async fn look(app: App, call: Call, _: Nothing) -> Answer<Enrolment> {
    let row = app.store.enrolment(call.id()?, app.clock.now_s()).await?;
    let row = row.ok_or_else(|| ApiError::not_found("There is no such mailbox, or not any more."))?;
    let states = row.states.and_then(|states| Encoding::Cbor.decode(&states, usize::MAX).ok());
    Ok(Enrolment {
        ephemeral_key: Wire(row.ephemeral_key),
        request: row.request.map(Into::into),
        states: states.map(|answer: AnswerEnrolment| answer.states).unwrap_or_default(),
    })
}

async fn ask(app: App, call: Call, request: AskEnrolment) -> Answer<Done> {
    if request.request.0.len() > ASK_LEN_MAX {
        return Err(ApiError::invalid("The request is longer than one can be."));
    }
    app.store.ask_enrolment(call.id()?, request.request.0, app.clock.now_s()).await?;
    Ok(Done {})
}

async fn answer(app: App, call: Call, request: AnswerEnrolment) -> Answer<Done> {
    let (account, _) = call.device()?;
    let fits = request.states.len() <= ACCOUNT_STATES_MAX
        && request.states.iter().all(|state| state.0.len() <= ACCOUNT_STATE_LEN_MAX);
    if request.states.is_empty() || !fits {
        return Err(ApiError::invalid("No states, too many, or one that is too long."));
    }
    let states = Encoding::Cbor.encode(&request);
    app.store.answer_enrolment(call.id()?, account, states, app.clock.now_s()).await?;
    Ok(Done {})
}
