//! Goal: whatever a server alters in what it serves, the SDK refuses it with a typed incident, changes nothing that is local,
//! and goes on as soon as the server is honest again.

use std::sync::{Arc, Mutex};

use alcove_protocol::Encoding;
use alcove_protocol::identity::PasswordSession;
use alcove_protocol::spaces::PullPage;
use alcove_sdk::net::{BoxFuture, Https, Origin, Request, Response, Transport, Unreachable};
use alcove_sdk::{Clock, Error, IncidentKind, LocalData};
use alcove_tests::phone::{PASSWORD, Phone};
use alcove_tests::server::{Database, TestServer, unlimited};

type Lie = fn(&mut PullPage);
type LoginLie = fn(&mut PasswordSession);

/// A network in which pages of pulls are altered.
struct Liar {
    network: Https,
    lie: Mutex<Option<Lie>>,
}

impl Transport for Liar {
    fn send<'a>(
        &'a self,
        origin: &'a Origin,
        request: Request,
    ) -> BoxFuture<'a, Result<Response, Unreachable>> {
        let lie = self.lie.lock().expect("no panic").filter(|_| request.path.ends_with("/pull"));
        Box::pin(async move {
            let mut response = self.network.send(origin, request).await?;
            if let Some(lie) = lie {
                let mut page: PullPage = Encoding::Cbor.decode(&response.body, usize::MAX).expect("a page");
                lie(&mut page);
                response.body = Encoding::Cbor.encode(&page);
            }
            Ok(response)
        })
    }
}

fn record(page: &mut PullPage, at: usize) -> &mut Vec<u8> {
    &mut page.slots[at].record.as_mut().expect("a record").bytes.0
}

#[tokio::test(flavor = "multi_thread")]
async fn every_lie_is_refused_and_nothing_local_changes() {
    let database = Database::sqlite();
    let server = TestServer::start(&database, unlimited()).await;
    let phone = Phone::sign_up("anna", &server.origin()).await;
    let doomed = phone.write("to be deleted").await;
    let kept = phone.write("kept").await;
    phone.sync().await;
    let liar = Arc::new(Liar { network: Https::new(), lie: Mutex::new(None) });
    let tablet = Phone::with("tablet", liar.clone(), Clock::default()).await;
    tablet.join("anna", &server.origin()).await;
    let unsent = tablet.write("not sent yet").await;
    // Three commits: two entries, an edit, a deletion.
    phone.write("new one").await;
    phone.sync().await;
    phone.edit(kept, "kept, edited").await;
    phone.sync().await;
    phone.alcove.journal().delete(doomed).await.unwrap();
    phone.sync().await;

    let lies: Vec<(&str, Lie, &[IncidentKind])> = vec![
        ("leaves out a slot", |page| drop(page.slots.remove(0)), &[IncidentKind::Incomplete]),
        ("leaves out a commit", |page| drop(page.commits.remove(0)), &[IncidentKind::Incomplete]),
        ("leaves out the newest commit", |page| drop(page.commits.pop()), &[IncidentKind::Incomplete]),
        (
            "exchanges two records",
            |page| {
                let at = page.slots.iter().position(|slot| slot.record.is_some()).unwrap();
                let other = page.slots.iter().rposition(|slot| slot.record.is_some()).unwrap();
                let (a, b) = (page.slots[at].record.clone(), page.slots[other].record.clone());
                (page.slots[at].record, page.slots[other].record) = (b, a);
            },
            &[IncidentKind::Incomplete],
        ),
        (
            "alters a record",
            |page| {
                let at = page.slots.iter().position(|slot| slot.record.is_some()).unwrap();
                record(page, at)[500] ^= 1;
            },
            &[IncidentKind::Substitution],
        ),
        (
            "alters a commit",
            |page| {
                let commit = &mut page.commits[0].0;
                let last = commit.len() - 1;
                commit[last] ^= 1;
            },
            &[IncidentKind::Substitution],
        ),
        ("cuts a commit", |page| page.commits[0].0.truncate(40), &[IncidentKind::Malformed]),
        (
            "brings back what was deleted",
            |page| {
                let live = page.slots.iter().find_map(|slot| slot.record.clone());
                let gone = page.slots.iter_mut().find(|slot| slot.record.is_none()).unwrap();
                gone.record = live;
            },
            &[IncidentKind::Incomplete],
        ),
        (
            "deletes",
            |page| page.slots.iter_mut().for_each(|slot| slot.record = None),
            &[IncidentKind::Incomplete],
        ),
        ("turns the order of commits", |page| page.commits.reverse(), &[IncidentKind::Incomplete]),
        (
            "says that a slot changed in the future",
            |page| page.slots[0].seq = 1 << 40,
            &[IncidentKind::Incomplete],
        ),
        (
            "injects a slot",
            |page| {
                let mut slot = page.slots[0].clone();
                slot.slot = alcove_crypto::ids::SlotId::new([7; 16]).into();
                page.slots.push(slot);
            },
            &[IncidentKind::Incomplete],
        ),
    ];
    let before = (tablet.bodies().await, tablet.alcove.holdings().await.unwrap().unsent);
    for (what, lie, kinds) in lies {
        // Each from the same place, without the failures of those before.
        let tablet = tablet.copy().await;
        // The unsent entry makes it push first, which is refused, and pull then.
        *liar.lie.lock().unwrap() = Some(lie);
        for round in 0..2 {
            let refused = tablet.alcove.sync().now().await;
            let Err(Error::Incident(kind)) = refused else { panic!("{what}, {round}: {refused:?}") };
            // After two failures a snapshot is asked for, in which a lie may look different.
            assert!(round > 0 || kinds.contains(&kind), "{what}: {kind:?}");
            let now = (tablet.bodies().await, tablet.alcove.holdings().await.unwrap().unsent);
            assert_eq!(now, before, "{what}");
            let incident = tablet.alcove.incidents().await.unwrap().remove(0);
            assert_eq!(incident.kind, kind, "{what}");
        }
        *liar.lie.lock().unwrap() = None;
        tablet.alcove.clear_incidents().await.unwrap();
    }
    // Honest again, everything is as it should be.
    tablet.sync().await;
    phone.sync().await;
    assert_eq!(tablet.body(unsent).await, "not sent yet");
    assert_eq!(tablet.bodies().await, ["kept, edited", "new one", "not sent yet"]);
    assert_eq!(tablet.bodies().await, phone.bodies().await);
    server.stop().await;
}

/// A network in which the answer to a login is altered.
struct LoginLiar(Https, LoginLie);

impl Transport for LoginLiar {
    fn send<'a>(
        &'a self,
        origin: &'a Origin,
        request: Request,
    ) -> BoxFuture<'a, Result<Response, Unreachable>> {
        Box::pin(async move {
            let is_login = request.path.ends_with("/login/finish");
            let mut response = self.0.send(origin, request).await?;
            if is_login && response.status == 200 {
                let mut session = Encoding::Cbor.decode(&response.body, usize::MAX).expect("a session");
                (self.1)(&mut session);
                response.body = Encoding::Cbor.encode(&session);
            }
            Ok(response)
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_does_not_fit_together_is_refused_and_on_record() {
    let database = Database::sqlite();
    let server = TestServer::start(&database, unlimited()).await;
    let anna = Phone::sign_up("anna", &server.origin()).await;
    let lies: [(&str, LoginLie); 4] = [
        ("another state", |session| session.state.0[120] ^= 1),
        ("a cut state", |session| session.state.0.truncate(50)),
        ("another credential set", |session| {
            let last = session.credential_set.0.len() - 1;
            session.credential_set.0[last] ^= 1;
        }),
        ("another account", |session| session.account = alcove_crypto::ids::AccountId::new([9; 16]).into()),
    ];
    for (what, lie) in lies {
        let phone = Phone::with("phone", Arc::new(LoginLiar(Https::new(), lie)), Clock::default()).await;
        let id = phone.write("mine").await;
        let account = phone.alcove.account();
        let refused = account.log_in(&server.origin(), "anna", PASSWORD, LocalData::Merge).await;
        assert!(matches!(refused, Err(Error::Incident(_))), "{what}: {refused:?}");
        assert_eq!(phone.alcove.incidents().await.unwrap().len(), 1, "{what}");
        assert_eq!(account.info().await.unwrap(), None, "{what}");
        assert_eq!(phone.body(id).await, "mine", "{what}");
    }
    anna.sync().await;
    assert_eq!(anna.alcove.account().devices().await.unwrap().len(), 1, "nobody was let in");
    server.stop().await;
}
