//! Goal: people sign up, log in, change and recover, add and lose devices, and nobody else does; on both databases, and on
//! two nodes in turn.

use alcove_crypto::ids::{DeviceId, EnrolmentId};
use alcove_protocol::account::{
    Account, Credentials, DownloadItem, Publish, Published, SecurityEventKind, SecurityLog,
};
use alcove_protocol::enrolment::{AnswerEnrolment, AskEnrolment, Enrolment, OpenEnrolment};
use alcove_protocol::identity::{LoginStart, LoginStarted, RegisterStart, RegisterStarted, SignIn, SignOut};
use alcove_protocol::server::{Done, Registration};
use alcove_protocol::spaces::Spaces;
use alcove_protocol::{Encoding, ErrorCode, LoginName, Wire, endpoint};
use alcove_server::sweep;
use alcove_tests::client::{Api, Person};
use alcove_tests::server::unlimited;
use alcove_tests::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_founded_and_used_from_two_devices() {
    for mut world in World::each().await {
        let (person, first, mut api) = world.somebody("anna").await.unwrap();
        let mut logged_in = person.log_in(&mut api, false, &mut world.rng).await.unwrap();
        assert_eq!(logged_in.session.account.0, first.account(), "{}", world.name);
        let mut second = logged_in.enrol(&mut api, &mut world.rng).await.unwrap();
        second.sign_in(&mut api).await.unwrap();
        let about: Account = api.call(endpoint::ACCOUNT, None, second.token.as_deref(), &()).await.unwrap();
        assert_eq!(
            (about.account.0, about.state_version, about.credentials_pending),
            (first.account(), 2, None)
        );
        // The same name, written otherwise.
        let again = Person {
            name: LoginName::parse(" ANNA ").unwrap(),
            code: person.code,
            ..Person::new("x", &person.password, &mut world.rng)
        };
        assert!(again.log_in(&mut api, false, &mut world.rng).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn founding_can_be_repeated_and_names_belong_to_one() {
    for mut world in World::each().await {
        let mut api = world.api();
        let person = Person::new("anna", "password", &mut world.rng);
        let (request, mut device) = person.founding(&mut api, &mut world.rng).await.unwrap();
        for _ in 0..2 {
            let published: Published =
                api.call(endpoint::REGISTER_FINISH, None, None, &request).await.unwrap();
            assert_eq!(published.version, 1);
        }
        device.sign_in(&mut api).await.unwrap();
        let other = Person::new("anna", "password", &mut world.rng);
        assert_eq!(other.sign_up(&mut api, &mut world.rng).await.err().unwrap().code(), ErrorCode::NameTaken);
        // Nobody gets the name between another's two requests either.
        let other = Person::new("ben", "password", &mut world.rng);
        let (one, _) = other.founding(&mut api, &mut world.rng).await.unwrap();
        let (two, _) = other.founding(&mut api, &mut world.rng).await.unwrap();
        let _: Published = api.call(endpoint::REGISTER_FINISH, None, None, &one).await.unwrap();
        let refused =
            api.call::<_, Published>(endpoint::REGISTER_FINISH, None, None, &two).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::NameTaken, "{}", world.name);
        // The same account under a second name.
        let renamed =
            alcove_protocol::identity::RegisterFinish { name: LoginName::parse("carl").unwrap(), ..one };
        let refused =
            api.call::<_, Published>(endpoint::REGISTER_FINISH, None, None, &renamed).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Exists);
        assert!(
            Person::new("carl", "p", &mut world.rng).sign_up(&mut api, &mut world.rng).await.is_ok(),
            "the name is free"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_an_unknown_name_look_alike() {
    for mut world in World::each().await {
        let (person, _, mut api) = world.somebody("anna").await.unwrap();
        let mut lengths = vec![];
        for (name, earlier) in [("anna", false), ("nobody", false), ("anna", true), ("nobody", true)] {
            let guess = Person::new(name, "wrong", &mut world.rng);
            let (request, _) = alcove_crypto::opaque::LoginStart::new(b"wrong", &mut world.rng).unwrap();
            let body = LoginStart { name: guess.name.clone(), request: request.into(), earlier };
            let started: LoginStarted = api.call(endpoint::LOGIN_START, None, None, &body).await.unwrap();
            lengths.push((started.login.0.len(), started.response.0.len()));
            let refused = guess.log_in(&mut api, earlier, &mut world.rng).await.err().unwrap();
            assert_eq!(refused.code(), ErrorCode::WrongCredentials, "{} {name}", world.name);
        }
        assert!(lengths.windows(2).all(|pair| pair[0] == pair[1]), "{lengths:?}");
        assert!(person.log_in(&mut api, false, &mut world.rng).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_and_a_challenge_are_good_once_and_not_for_long() {
    for mut world in World::each().await {
        let (person, mut device, mut api) = world.somebody("anna").await.unwrap();
        let (request, _) = alcove_crypto::opaque::LoginStart::new(b"x", &mut world.rng).unwrap();
        let body = LoginStart { name: person.name.clone(), request: request.into(), earlier: false };
        let started: LoginStarted = api.call(endpoint::LOGIN_START, None, None, &body).await.unwrap();
        let finish =
            alcove_protocol::identity::LoginFinish { login: started.login, finish: vec![1; 65].into() };
        let mut codes = vec![];
        for _ in 0..2 {
            let refused = api.call::<_, ()>(endpoint::LOGIN_FINISH, None, None, &finish).await.unwrap_err();
            codes.push(refused.code());
        }
        assert_eq!(codes, [ErrorCode::WrongCredentials, ErrorCode::StaleChallenge], "{}", world.name);

        let (account, id) = (device.account(), device.id());
        let proof = api.prove(|challenge| device.secret.sign_in(&account, challenge)).await.unwrap();
        let sign_in = SignIn { account: account.into(), device: id.into(), proof };
        assert!(api.call::<_, serde_json::Value>(endpoint::SIGN_IN, None, None, &sign_in).await.is_ok());
        let refused = api.call::<_, ()>(endpoint::SIGN_IN, None, None, &sign_in).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::StaleChallenge);

        let proof = api.prove(|challenge| device.secret.sign_in(&account, challenge)).await.unwrap();
        world.shift(61);
        let late = SignIn { proof, ..sign_in.clone() };
        assert_eq!(
            api.call::<_, ()>(endpoint::SIGN_IN, None, None, &late).await.unwrap_err().code(),
            ErrorCode::StaleChallenge
        );

        // A signature that was meant for another server.
        let origin = std::mem::replace(&mut api.origin, "https://evil.example".into());
        let proof = api.prove(|challenge| device.secret.sign_in(&account, challenge)).await.unwrap();
        api.origin = origin;
        let relayed = SignIn { proof, ..sign_in };
        assert_eq!(
            api.call::<_, ()>(endpoint::SIGN_IN, None, None, &relayed).await.unwrap_err().code(),
            ErrorCode::Invalid
        );

        // A clock that is set back by a day voids what comes from the future, and nothing else.
        device.sign_in(&mut api).await.unwrap();
        world.shift(-86_400);
        let refused =
            api.call::<_, Spaces>(endpoint::SPACES, None, device.token.as_deref(), &()).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Unauthorized);
        device.sign_in(&mut api).await.unwrap();
        assert!(api.call::<_, Spaces>(endpoint::SPACES, None, device.token.as_deref(), &()).await.is_ok());
    }
}

/// Attack 20, the server's part.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_password_that_is_cut_anywhere_leaves_one_that_works() {
    for mut world in World::each().await {
        let (mut person, device, mut api) = world.somebody("anna").await.unwrap();
        let rng = &mut world.rng;
        let logged_in = person.log_in(&mut api, false, rng).await.unwrap();
        let published = person.change_password(&mut api, &logged_in, "new", rng).await.unwrap();
        assert_eq!(published, Published { version: 2, credentials_pending: true });

        // Cut here: both log in, each to the set that it opens, and the recovery code as well.
        let new = person.log_in(&mut api, false, rng).await.unwrap();
        assert_eq!((new.unlocked.state.state().version, new.newest.state().version), (2, 2));
        let new_password = std::mem::replace(&mut person.password, "correct horse".into());
        assert!(person.log_in(&mut api, false, rng).await.is_err());
        let old = person.log_in(&mut api, true, rng).await.unwrap();
        assert_eq!((old.unlocked.state.state().version, old.newest.state().version), (1, 2));
        assert!(person.recover(&mut api).await.is_ok());

        // With the old one again, to a third password: the second was never confirmed, and goes.
        person.change_password(&mut api, &old, "third", rng).await.unwrap();
        let third = std::mem::replace(&mut person.password, new_password);
        assert!(person.log_in(&mut api, false, rng).await.is_err());
        assert!(person.log_in(&mut api, true, rng).await.is_err());
        person.password = "correct horse".into();
        let old = person.log_in(&mut api, true, rng).await.unwrap();

        // Only a session of the new password may confirm it; then the old one ends.
        let confirm = alcove_protocol::account::ConfirmCredentials { version: 3 };
        let refused =
            api.call::<_, Published>(endpoint::CREDENTIALS_CONFIRM, None, Some(&old.session.token), &confirm);
        assert_eq!(refused.await.unwrap_err().code(), ErrorCode::Forbidden);
        person.password = third;
        let confirmed = person.confirm_password(&mut api, rng).await.unwrap();
        assert_eq!(confirmed, Published { version: 3, credentials_pending: false });
        assert!(person.log_in(&mut api, false, rng).await.is_ok());
        assert!(person.recover(&mut api).await.is_ok());
        let refused =
            api.call::<_, Account>(endpoint::ACCOUNT, None, Some(&old.session.token), &()).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Unauthorized, "the old password's session has ended");
        person.password = "correct horse".into();
        assert!(person.log_in(&mut api, true, rng).await.is_err());
        // The device goes on as if nothing had happened.
        let set: Credentials =
            api.call(endpoint::CREDENTIALS, None, device.token.as_deref(), &()).await.unwrap();
        assert_ne!(set.credential_set.0, device.set.to_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_device_is_out_at_once_on_every_node() {
    for mut world in World::each().await {
        let (person, mut first, mut api) = world.somebody("anna").await.unwrap();
        let mut logged_in = person.log_in(&mut api, false, &mut world.rng).await.unwrap();
        let mut second = logged_in.enrol(&mut api, &mut world.rng).await.unwrap();
        second.sign_in(&mut api).await.unwrap();
        logged_in.block(&mut api, second.id()).await.unwrap();
        for _ in 0..2 {
            let refused = api
                .call::<_, Spaces>(endpoint::SPACES, None, second.token.as_deref(), &())
                .await
                .unwrap_err();
            assert_eq!(refused.code(), ErrorCode::DeviceRevoked, "{}", world.name);
        }
        assert_eq!(second.sign_in(&mut api).await.unwrap_err().code(), ErrorCode::DeviceRevoked);
        // A state that still lists it, signed by somebody who did not know, lets it in no more.
        let next = logged_in.next_state(|_| {});
        logged_in.publish(&mut api, next).await.unwrap();
        assert_eq!(second.sign_in(&mut api).await.unwrap_err().code(), ErrorCode::DeviceRevoked);
        first.sign_in(&mut api).await.unwrap();
        let unknown = logged_in.block(&mut api, DeviceId::new([9; 16])).await.unwrap_err();
        assert_eq!(unknown.code(), ErrorCode::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_voids_tokens_of_one_or_of_all() {
    for mut world in World::each().await {
        let (person, mut first, mut api) = world.somebody("anna").await.unwrap();
        let mut logged_in = person.log_in(&mut api, false, &mut world.rng).await.unwrap();
        let mut second = logged_in.enrol(&mut api, &mut world.rng).await.unwrap();
        second.sign_in(&mut api).await.unwrap();
        let works = async |api: &mut Api, token: Option<&str>| {
            api.call::<_, Account>(endpoint::ACCOUNT, None, token, &()).await.is_ok()
        };
        let out = |everywhere| SignOut { everywhere };
        let _: Done = api.call(endpoint::SIGN_OUT, None, first.token.as_deref(), &out(false)).await.unwrap();
        assert!(
            !works(&mut api, first.token.as_deref()).await && works(&mut api, second.token.as_deref()).await
        );
        first.sign_in(&mut api).await.unwrap();
        let _: Done = api.call(endpoint::SIGN_OUT, None, first.token.as_deref(), &out(true)).await.unwrap();
        for token in [first.token.as_deref(), second.token.as_deref(), Some(&logged_in.session.token)] {
            assert!(!works(&mut api, token).await, "{}", world.name);
        }
        second.sign_in(&mut api).await.unwrap();
        // Tokens die by themselves as well.
        world.shift(600);
        assert!(!works(&mut api, second.token.as_deref()).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_limited_by_name_and_lock_no_device_out() {
    let mut config = unlimited();
    config.limits.logins_per_hour = 4;
    for mut world in World::each_with(&config).await {
        let (person, mut device, mut api) = world.somebody("anna").await.unwrap();
        // Guesses that are begun and never finished count.
        let (request, _) = alcove_crypto::opaque::LoginStart::new(b"x", &mut world.rng).unwrap();
        for name in ["anna", "nobody"] {
            let name = LoginName::parse(name).unwrap();
            let body = LoginStart { name, request: request.clone().into(), earlier: false };
            for _ in 0..4 {
                let _: LoginStarted = api.call(endpoint::LOGIN_START, None, None, &body).await.unwrap();
            }
            let refused =
                api.call::<_, LoginStarted>(endpoint::LOGIN_START, None, None, &body).await.unwrap_err();
            assert_eq!(refused.code(), ErrorCode::LoginLimited, "{}", world.name);
            let wait: u32 = refused.retry_after.unwrap().parse().unwrap();
            assert!((850..=900).contains(&wait), "{wait}");
        }
        device.sign_in(&mut api).await.unwrap();
        assert!(person.recover(&mut api).await.is_ok());
        // A quarter of an hour later one is free, and a right one forgives the rest.
        world.shift(901);
        assert!(person.log_in(&mut api, false, &mut world.rng).await.is_ok());
        assert!(person.log_in(&mut api, false, &mut world.rng).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_of_one_address_are_limited() {
    let mut config = unlimited();
    config.limits.logins_per_minute = 3;
    let mut world = World::each_with(&config).await.swap_remove(0);
    let (_, mut device, mut api) = world.somebody("anna").await.unwrap();
    let refused = loop {
        let guess = Person::new("nobody", "x", &mut world.rng);
        match guess.log_in(&mut api, false, &mut world.rng).await.err().unwrap() {
            refused if refused.code() == ErrorCode::LoginLimited => break refused,
            refused => assert_eq!(refused.code(), ErrorCode::WrongCredentials),
        }
    };
    assert!(refused.retry_after.is_some());
    device.sign_in(&mut api).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_account_is_dead_at_once_and_leaves_nothing() {
    for mut world in World::each().await {
        let (person, mut device, mut api) = world.somebody("anna").await.unwrap();
        device
            .push(&mut api, &[(alcove_crypto::ids::SlotId::new([1; 16]), Some(b"text"))], &mut world.rng)
            .await
            .unwrap();
        let logged_in = person.log_in(&mut api, false, &mut world.rng).await.unwrap();
        assert!(!logged_in.delete(&mut api).await.unwrap().swept);
        for token in [device.token.as_deref(), Some(&logged_in.session.token)] {
            let refused = api.call::<_, Account>(endpoint::ACCOUNT, None, token, &()).await.unwrap_err();
            assert_eq!(refused.code(), ErrorCode::AccountDeleted, "{}", world.name);
        }
        assert_eq!(device.sign_in(&mut api).await.unwrap_err().code(), ErrorCode::AccountDeleted);
        assert_eq!(
            person.log_in(&mut api, false, &mut world.rng).await.err().unwrap().code(),
            ErrorCode::WrongCredentials
        );
        assert_eq!(person.recover(&mut api).await.err().unwrap().code(), ErrorCode::WrongCredentials);
        assert_eq!(
            device.restore(&mut api, Some(&person.name)).await.unwrap_err().code(),
            ErrorCode::AccountDeleted
        );

        // Swept twice, by every node.
        for node in world.nodes.iter().chain(&world.nodes) {
            sweep::everything(&node.app).await.unwrap();
        }
        assert!(logged_in.delete(&mut api).await.unwrap().swept);
        let totals = world.nodes[0].app.store().totals().await.unwrap();
        assert_eq!((totals.accounts, totals.dying, totals.spaces, totals.records), (0, 0, 0, 0));
        assert_eq!(device.sign_in(&mut api).await.unwrap_err().code(), ErrorCode::AccountDeleted);
        // The name is free; the id was not, even to its owner.
        assert!(world.somebody("anna").await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn registration_follows_the_setting() {
    let mut config = unlimited();
    config.registration.mode = Registration::Closed;
    for mut world in World::each_with(&config).await {
        assert_eq!(world.somebody("anna").await.err().unwrap().code(), ErrorCode::RegistrationClosed);
    }
    config.registration.mode = Registration::Invite;
    for mut world in World::each_with(&config).await {
        assert_eq!(world.somebody("anna").await.err().unwrap().code(), ErrorCode::InviteNeeded);
        let mut api = world.api();
        let store = world.nodes[0].app.store().clone();
        let hash = alcove_server::api::invite_hash("welcome");
        let today = 30_000;
        store.make_invite(hash, 2, today).await.unwrap();
        let mut codes = vec![];
        for name in ["anna", "ben", "carl"] {
            let mut person = Person::new(name, "p", &mut world.rng);
            person.invite = Some(" welcome\n".into());
            codes.push(person.sign_up(&mut api, &mut world.rng).await.err().map(|refused| refused.code()));
        }
        assert_eq!(codes, [None, None, Some(ErrorCode::InviteNeeded)], "{}", world.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_reads_a_log_and_downloads_everything() {
    for mut world in World::each().await {
        let (person, mut device, mut api) = world.somebody("anna").await.unwrap();
        let guess = Person::new("anna", "wrong", &mut world.rng);
        drop(guess.log_in(&mut api, false, &mut world.rng).await);
        person.log_in(&mut api, false, &mut world.rng).await.unwrap();
        person.recover(&mut api).await.unwrap();
        let log: SecurityLog =
            api.call(endpoint::SECURITY_LOG, None, device.token.as_deref(), &()).await.unwrap();
        let mut kinds: Vec<_> =
            log.events.iter().map(|event| (event.what, event.device.map(|device| device.0))).collect();
        kinds.sort_by_key(|(what, _)| format!("{what:?}"));
        let expected = [
            (SecurityEventKind::DeviceSignIn, Some(device.id())),
            (SecurityEventKind::PasswordLogin, None),
            (SecurityEventKind::PasswordLoginFailed, None),
            (SecurityEventKind::RecoveryLogin, None),
        ];
        assert_eq!(kinds, expected, "{}", world.name);

        for seed in 0..3_u8 {
            device
                .push(
                    &mut api,
                    &[(alcove_crypto::ids::SlotId::new([seed; 16]), Some(&[seed]))],
                    &mut world.rng,
                )
                .await
                .unwrap();
        }
        let mut api = Api::json(&world.origins());
        let answered = api.call_raw(endpoint::DOWNLOAD, None, device.token.as_deref(), &()).await.unwrap();
        assert_eq!(answered.headers["content-type"], "application/x-ndjson");
        let lines = answered.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let items: Vec<DownloadItem> =
            lines.map(|line| Encoding::Json.decode(line, usize::MAX).unwrap()).collect();
        assert!(
            matches!(items.first(), Some(DownloadItem::Account(_)))
                && items.last() == Some(&DownloadItem::End)
        );
        let slots: usize = items
            .iter()
            .map(|item| if let DownloadItem::Page(page) = item { page.slots.len() } else { 0 })
            .sum();
        let commits: usize = items
            .iter()
            .map(|item| if let DownloadItem::Page(page) = item { page.commits.len() } else { 0 })
            .sum();
        assert_eq!((slots, commits), (3, 3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_devices_meet_in_a_mailbox() {
    for mut world in World::each().await {
        let (_, first, mut api) = world.somebody("anna").await.unwrap();
        let id = EnrolmentId::new([5; 16]);
        let open = OpenEnrolment { id: id.into(), ephemeral_key: Wire([6; 32]) };
        let token = first.token.as_deref();
        for _ in 0..2 {
            let _: Done = api.call(endpoint::ENROLMENT_OPEN, None, token, &open).await.unwrap();
        }
        let stolen = OpenEnrolment { ephemeral_key: Wire([7; 32]), ..open };
        assert_eq!(
            api.call::<_, Done>(endpoint::ENROLMENT_OPEN, None, token, &stolen).await.unwrap_err().code(),
            ErrorCode::Exists
        );

        let ask = |byte: u8| AskEnrolment { request: vec![byte; 200].into() };
        let box_id = Some(id.as_bytes());
        for _ in 0..2 {
            let _: Done = api.call(endpoint::ENROLMENT_ASK, box_id, None, &ask(1)).await.unwrap();
        }
        assert_eq!(
            api.call::<_, Done>(endpoint::ENROLMENT_ASK, box_id, None, &ask(2)).await.unwrap_err().code(),
            ErrorCode::Exists
        );
        let states = vec![first.states[0].as_bytes().to_vec().into()];
        let answer = AnswerEnrolment { states: states.clone() };
        let _: Done = api.call(endpoint::ENROLMENT_ANSWER, box_id, token, &answer).await.unwrap();
        let found: Enrolment = api.call(endpoint::ENROLMENT, box_id, None, &()).await.unwrap();
        assert_eq!(
            found,
            Enrolment { ephemeral_key: Wire([6; 32]), request: Some(vec![1; 200].into()), states }
        );

        let (_, stranger, _) = world.somebody("ben").await.unwrap();
        let refused =
            api.call::<_, Done>(endpoint::ENROLMENT_ANSWER, box_id, stranger.token.as_deref(), &answer).await;
        assert_eq!(refused.unwrap_err().code(), ErrorCode::NotFound, "{}", world.name);
        world.shift(601);
        assert_eq!(
            api.call::<_, Enrolment>(endpoint::ENROLMENT, box_id, None, &()).await.unwrap_err().code(),
            ErrorCode::NotFound
        );
    }
}

/// What a password session may not do: swap an identity, skip a version, list what another signed.
#[tokio::test(flavor = "multi_thread")]
async fn only_states_that_follow_are_published() {
    for mut world in World::each().await {
        let (person, _, mut api) = world.somebody("anna").await.unwrap();
        let mut one = person.log_in(&mut api, false, &mut world.rng).await.unwrap();
        let mut two = person.log_in(&mut api, false, &mut world.rng).await.unwrap();
        let publish = async |api: &mut Api, token: &str, state: Vec<u8>| {
            let body = Publish { state: state.into(), credential_set: None, grants: vec![] };
            api.call::<_, Published>(endpoint::PUBLISH, None, Some(token), &body).await
        };
        let token = one.session.token.clone();
        let next = one.next_state(|_| {});
        let bytes = next.as_bytes().to_vec();
        one.publish(&mut api, next).await.unwrap();
        assert_eq!(publish(&mut api, &token, bytes.clone()).await.unwrap().version, 2, "sent again");
        let other = two.next_state(|state| state.devices[0].revoked_day = None);
        assert_eq!(other.as_bytes(), bytes, "signatures are deterministic, so the same state is no conflict");
        let device = alcove_crypto::account::keys::DeviceSecret::make(&mut world.rng).public();
        let conflict = two.next_state(|state| {
            state.devices.push(alcove_crypto::account::state::Device {
                keys: device,
                added_day: 1,
                revoked_day: None,
            });
        });
        let refused = two.publish(&mut api, conflict).await.unwrap_err();
        assert_eq!(
            (refused.code(), refused.body.unwrap().state_version),
            (ErrorCode::StateMoved, Some(2)),
            "{}",
            world.name
        );
        let skipped = one.next_state(|_| {});
        let mut forged = skipped.as_bytes().to_vec();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(publish(&mut api, &token, forged).await.unwrap_err().code(), ErrorCode::Invalid);
        for garbage in [vec![], vec![1; 40_000], b"state".to_vec()] {
            assert_eq!(publish(&mut api, &token, garbage).await.unwrap_err().code(), ErrorCode::Invalid);
        }
        one.publish(&mut api, skipped).await.unwrap();
        let request = RegisterStart { name: person.name.clone(), request: vec![1; 3].into(), invite: None };
        let refused =
            api.call::<_, RegisterStarted>(endpoint::REGISTER_START, None, None, &request).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::NameTaken);
    }
}
