//! Section 5: account states, root keys, bundles, challenges, enrolment.

use serde_json::{Value, json};

use super::{Case, File, Verdict, bytes, case, decode_class, fixed, flipped, number, open_class, text, with};
use crate::account::bundle::{
    PasswordKek, UnlockError, open_password_bundle, open_recovery_bundle, seal_password_bundle,
    seal_recovery_bundle,
};
use crate::account::challenge::{
    Challenge, IdentityAction, verify_device_sign_in, verify_identity_request, verify_recovery_sign_in,
};
use crate::account::credentials::CredentialSet;
use crate::account::enrolment::{EnrolmentError, Invitation, Inviting, Joining};
use crate::account::grant::{GrantError, grant_root, open_root_grant};
use crate::account::keys::{DeviceSecret, IdentitySecret, ReceivingSecret};
use crate::account::recovery::RecoveryCode;
use crate::account::root::{Keyring, NameKey, RootKey};
use crate::account::state::{SignedState, StateError, VerifiedState};
use crate::hpke::HpkeError;
use crate::ids::{AccountId, DeviceId, Head, SpaceId};
use crate::opaque::ExportKey;
use crate::signing::VerifyingKey;
use crate::world::{CounterRng, Person, hex, listed, unhex};

pub(super) fn files() -> Vec<File> {
    vec![
        File { construction: "account_state", section: "5.2", judge: judge_state, cases: states() },
        File { construction: "root", section: "5.3", judge: judge_root, cases: roots() },
        File { construction: "bundle", section: "5.4", judge: judge_bundle, cases: bundles() },
        File { construction: "challenge", section: "5.6", judge: judge_challenge, cases: challenges() },
        File { construction: "enrolment", section: "5.7", judge: judge_enrolment, cases: enrolments() },
    ]
}

pub(super) fn state_class(error: StateError) -> &'static str {
    match error {
        StateError::Malformed(error) => decode_class(error),
        StateError::BadSignature => "bad_signature",
        StateError::IdentityChanged => "identity_changed",
        StateError::WrongAccount => "wrong_account",
        StateError::NotSuccessor => "not_successor",
        StateError::Rule(_) => "rule",
    }
}

/// A state that the case says is believed.
pub(super) fn believed(signed: &str) -> VerifiedState {
    let state = SignedState::parse(&unhex(signed)).unwrap();
    let identity = state.claims().identity;
    state.verify_under(&identity).unwrap()
}

fn judge_state(case: &Value) -> Verdict {
    let judge = || {
        let state = SignedState::parse(&bytes(case, "state"))?;
        match text(case, "how") {
            "first" => state.verify_first(),
            "under" => state.verify_under(&VerifyingKey::from_bytes(&fixed(case, "identity")).unwrap()),
            "after" => state.verify_after(&believed(text(case, "known"))),
            _ => state.verify_before(&believed(text(case, "known"))),
        }
    };
    let verified = judge().map_err(state_class)?;
    let state = verified.state();
    let live = state.devices.iter().filter(|device| device.revoked_day.is_none());
    Ok(json!({
        "account": state.account.to_string(),
        "hash": verified.hash().to_string(),
        "version": state.version,
        "epoch": state.epoch,
        "live_devices": live.map(|device| device.keys.id().to_string()).collect::<Vec<_>>(),
    }))
}

/// Signs what no honest device would sign.
fn forged(person: &Person, change: impl FnOnce(&mut crate::account::state::AccountState)) -> String {
    let mut state = person.state().draft_next();
    change(&mut state);
    hex(&state.sign_unchecked(&person.identity, None))
}

fn states() -> Vec<Case> {
    let mut anna = Person::new(30, 3);
    anna.revoke(2);
    anna.publish(|state| state.minimum_protocol = 2);
    let ben = Person::new(31, 1);
    let hexed: Vec<String> = anna.states.iter().map(|state| hex(state.as_bytes())).collect();
    let theirs = hex(ben.state().as_bytes());
    let first = json!({ "how": "first", "state": hexed[0] });
    let under =
        json!({ "how": "under", "state": hexed[2], "identity": hex(anna.identity.public().as_bytes()) });
    let after = |state: &str| json!({ "how": "after", "state": state, "known": hexed[2] });
    let before = |state: &str| json!({ "how": "before", "state": state, "known": hexed[2] });
    let rng = &mut CounterRng::new(32);
    let (new, inbox) = (IdentitySecret::make(rng), ReceivingSecret::make(rng).public());
    let commitment = anna.roots[1].make_next(rng).commitment(&anna.account());
    let mut handover = anna.state().draft_next();
    (handover.identity, handover.epoch, handover.root_commitment, handover.inbox) =
        (new.public(), 3, commitment, inbox);
    let signed_over = hex(handover.sign_after(anna.state(), &new, Some(&anna.identity)).unwrap().as_bytes());
    let not_signed_over = hex(&handover.sign_unchecked(&new, None));
    let mut cases = vec![
        case("the first state", "ok", first.clone()),
        case("under a known identity", "ok", under.clone()),
        case("a revocation follows", "ok", json!({ "how": "after", "state": hexed[1], "known": hexed[0] })),
        case("the state before", "ok", before(&hexed[1])),
        case("a new identity, signed over", "ok", after(&signed_over)),
        case("a new identity, not signed over", "identity_changed", after(&not_signed_over)),
        flipped(&first, "state", 0, "unknown_version"),
        flipped(&first, "state", 1, "malformed"),
        flipped(&first, "state", -2, "bad_signature"),
        case("cut short", "malformed", with(&first, "state", &hexed[0][..200])),
        case("a byte more", "malformed", with(&first, "state", format!("{}00", hexed[0]))),
        case("not a first state", "not_successor", with(&first, "state", hexed[1].as_str())),
        case(
            "under another identity",
            "identity_changed",
            with(&under, "identity", hex(ben.identity.public().as_bytes())),
        ),
        case("after itself", "not_successor", after(&hexed[2])),
        case("another account's", "wrong_account", after(&theirs)),
        case("before: not the one that is named", "not_successor", before(&hexed[0])),
        case("before: another account's", "wrong_account", before(&theirs)),
        case("another branch", "not_successor", after(&forged(&anna, |s| s.previous = ben.state().hash()))),
    ];
    type Change = Box<dyn FnOnce(&mut crate::account::state::AccountState)>;
    let stranger = listed(&DeviceSecret::make(rng));
    let broken: Vec<(&str, Change)> = vec![
        ("a lower minimum", Box::new(|s| s.minimum_protocol = 1)),
        ("another private space", Box::new(|s| s.private_space = SpaceId::new([9; 16]))),
        ("an earlier epoch", Box::new(|s| s.epoch = 1)),
        ("an epoch without a key", Box::new(|s| s.epoch = 3)),
        ("a key without an epoch", Box::new(move |s| s.root_commitment = commitment)),
        ("a live device forgotten", Box::new(|s| drop(s.devices.drain(..1)))),
        ("a device exchanged", Box::new(move |s| s.devices[0] = stranger)),
        ("a revocation taken back", Box::new(|s| s.devices[2].revoked_day = None)),
        ("a revocation without an epoch", Box::new(|s| s.devices[1].revoked_day = Some(1))),
        ("a device twice", Box::new(|s| s.devices.push(s.devices[0].clone()))),
    ];
    cases.extend(broken.into_iter().map(|(name, change)| case(name, "rule", after(&forged(&anna, change)))));
    cases
}

fn judge_root(case: &Value) -> Verdict {
    match text(case, "kind") {
        "root" => {
            let root = RootKey::for_vectors(number(case, "epoch"), fixed(case, "root_key"));
            let (account, space) =
                (AccountId::new(fixed(case, "account")), SpaceId::new(fixed(case, "space")));
            let key = root.private_space_key(&space);
            Ok(
                json!({ "commitment": root.commitment(&account).to_string(), "private_space_key": hex(key.expose()) }),
            )
        }
        "keyring" => {
            let root = RootKey::for_vectors(number(case, "epoch"), fixed(case, "root_key"));
            let account = AccountId::new(fixed(case, "account"));
            let keyring = Keyring::open(&bytes(case, "keyring"), &root, &account).map_err(open_class)?;
            let earlier: Vec<_> =
                keyring.earlier().map(|root| json!([root.epoch(), hex(root.expose())])).collect();
            Ok(json!({ "name_key": hex(keyring.name_key.0.expose()), "earlier": earlier }))
        }
        _ => {
            let device = device_of(case);
            let root = open_root_grant(&bytes(case, "grant"), &device, &believed(text(case, "state")))
                .map_err(|error| match error {
                    GrantError::Message(HpkeError::UnknownVersion(_)) => "unknown_version",
                    GrantError::Message(HpkeError::Truncated) => "truncated",
                    GrantError::Message(_) => "not_for_us",
                    _ => "not_committed",
                })?;
            Ok(json!({ "root_key": hex(root.expose()) }))
        }
    }
}

fn device_of(case: &Value) -> DeviceSecret {
    let both = [bytes(case, "device_signing_seed"), bytes(case, "device_receiving_secret")].concat();
    DeviceSecret::from_bytes(&both.try_into().unwrap())
}

fn roots() -> Vec<Case> {
    let mut anna = Person::new(33, 2);
    anna.revoke(1);
    let (account, rng) = (anna.account(), &mut CounterRng::new(34));
    let root = |index: usize| {
        json!({
            "kind": "root",
            "root_key": hex(anna.roots[index].expose()),
            "epoch": index + 1,
            "account": account.to_string(),
            "space": anna.space.to_string(),
        })
    };
    let name_key = || NameKey(crate::secret::Secret::new([6; 32]));
    let seal = |index: usize, earlier: &[usize], rng: &mut CounterRng| {
        let mut ring = Keyring::new(name_key());
        for at in earlier {
            ring.retire(RootKey::for_vectors(*at as u64 + 1, *anna.roots[*at].expose())).unwrap();
        }
        let sealed = ring.seal(&anna.roots[index], &account, rng);
        let mut case = with(&root(index), "keyring", hex(&sealed));
        case["kind"] = "keyring".into();
        case.as_object_mut().unwrap().remove("space");
        case
    };
    let ring = seal(1, &[0], rng);
    let exposed = anna.devices[0].expose();
    let grant = |index: usize, rng: &mut CounterRng| {
        let grant = grant_root(&anna.roots[index], &anna.states[index], &anna.devices[0].id(), rng).unwrap();
        json!({
            "kind": "grant",
            "device_signing_seed": hex(&exposed[..32]),
            "device_receiving_secret": hex(&exposed[32..]),
            "state": hex(anna.states[index].as_bytes()),
            "grant": hex(&grant),
        })
    };
    let good = grant(1, rng);
    let info = crate::hash::context(
        crate::labels::ROOT_GRANT,
        &[(&account).into(), 2.into(), (&anna.devices[0].id()).into()],
    );
    let own_key = crate::hpke::seal_to(&anna.devices[0].public().receiving, &info, &[9; 32], rng).unwrap();
    vec![
        case("a first root key", "ok", root(0)),
        case("a second root key", "ok", root(1)),
        case("a keyring of a first epoch", "ok", seal(0, &[], rng)),
        case("a keyring with an earlier key", "ok", ring.clone()),
        flipped(&ring, "root_key", 0, "wrong_key_or_context"),
        flipped(&ring, "account", 0, "wrong_key_or_context"),
        case("a keyring of another epoch", "wrong_key_or_context", with(&ring, "epoch", 3)),
        flipped(&ring, "keyring", 0, "unknown_version"),
        flipped(&ring, "keyring", -1, "altered"),
        case("a keyring cut short", "truncated", with(&ring, "keyring", &text(&ring, "keyring")[..100])),
        case("a keyring that lists its own epoch", "malformed", seal(1, &[0, 1], rng)),
        case("a grant", "ok", good.clone()),
        flipped(&good, "grant", 0, "unknown_version"),
        flipped(&good, "grant", 1, "not_for_us"),
        flipped(&good, "grant", -1, "not_for_us"),
        flipped(&good, "device_signing_seed", 0, "not_for_us"),
        case(
            "a grant of the epoch before",
            "not_for_us",
            with(&grant(0, rng), "state", text(&good, "state")),
        ),
        case("a grant of a server's own key", "not_committed", with(&good, "grant", hex(&own_key))),
        case("a grant cut short", "truncated", with(&good, "grant", &text(&good, "grant")[..40])),
    ]
}

fn judge_bundle(case: &Value) -> Verdict {
    let account = AccountId::new(fixed(case, "account"));
    let set = CredentialSet::parse(&bytes(case, "credential_set")).map_err(decode_class)?;
    let opened = if text(case, "kind") == "password" {
        let kek = PasswordKek::derive(&ExportKey::from_bytes(fixed(case, "export_key")), &account);
        open_password_bundle(&kek, &account, &set.password_bundle)
    } else {
        let code = RecoveryCode::from_bytes_for_tests(fixed(case, "recovery_code"));
        open_recovery_bundle(code.kek(), &account, &set.recovery_bundle)
    };
    let state = SignedState::parse(&bytes(case, "state")).map_err(state_class)?;
    let unlocked =
        opened.map_err(open_class)?.unlock(&account, state, &set).map_err(|error| match error {
            UnlockError::State(error) => state_class(error),
            UnlockError::WrongAccount => "wrong_account",
            UnlockError::Credentials => "credentials",
            UnlockError::Root(_) => "not_committed",
        })?;
    Ok(json!({
        "identity": hex(unlocked.identity.public().as_bytes()),
        "epoch": unlocked.root.epoch(),
        "root_key": hex(unlocked.root.expose()),
        "recovery_kek": hex(unlocked.recovery_kek.0.expose()),
    }))
}

fn bundles() -> Vec<Case> {
    let make = |seed: u64| {
        let mut person = Person::new(seed, 1);
        let account = person.account();
        let code = RecoveryCode::from_bytes_for_tests([8; 20]);
        let kek = PasswordKek::derive(&ExportKey::from_bytes([7; 64]), &account);
        let (identity, root, rng) = (&person.identity, &person.roots[0], &mut CounterRng::new(seed + 1));
        let set = CredentialSet {
            opaque_record: vec![1; 209],
            password_bundle: seal_password_bundle(&kek, &account, identity, root, &code.kek(), rng),
            recovery_bundle: seal_recovery_bundle(&code.kek(), &account, identity, root, rng),
            recovery_sign_in: code.sign_in_secret().public(),
            keyring: Keyring::new(NameKey::make(rng)).seal(root, &account, rng),
        };
        let hash = set.hash();
        person.publish(|state| state.credentials = hash);
        (person, set)
    };
    let ((anna, set), (ben, their_set)) = (make(35), make(37));
    let password = json!({
        "kind": "password",
        "export_key": hex(&[7; 64]),
        "account": anna.account().to_string(),
        "state": hex(anna.state().as_bytes()),
        "credential_set": hex(&set.to_bytes()),
    });
    let mut recovery = with(&password, "kind", "recovery");
    recovery.as_object_mut().unwrap().remove("export_key");
    recovery["recovery_code"] = hex(&[8; 20]).into();
    let altered = CredentialSet { keyring: vec![], ..set.clone() };
    let mut later = make(35).0;
    later.revoke(0);
    let mixed = CredentialSet { password_bundle: set.recovery_bundle.clone(), ..set.clone() };
    vec![
        case("a password", "ok", password.clone()),
        case("a recovery code", "ok", recovery.clone()),
        flipped(&password, "export_key", 0, "wrong_key_or_context"),
        flipped(&recovery, "recovery_code", 0, "wrong_key_or_context"),
        case(
            "another account",
            "wrong_key_or_context",
            with(&password, "account", ben.account().to_string()),
        ),
        case("another's state", "identity_changed", with(&password, "state", hex(ben.state().as_bytes()))),
        case(
            "another's credential set",
            "wrong_key_or_context",
            with(&recovery, "credential_set", hex(&their_set.to_bytes())),
        ),
        case("the state before", "credentials", with(&password, "state", hex(anna.states[0].as_bytes()))),
        case("another keyring", "credentials", with(&password, "credential_set", hex(&altered.to_bytes()))),
        case(
            "the other bundle",
            "wrong_key_or_context",
            with(&password, "credential_set", hex(&mixed.to_bytes())),
        ),
        case(
            "a state of a later epoch",
            "not_committed",
            with(&password, "state", hex(later.state().as_bytes())),
        ),
        flipped(&password, "state", -2, "bad_signature"),
        case("not a credential set", "malformed", with(&password, "credential_set", "0180")),
    ]
}

fn judge_challenge(case: &Value) -> Verdict {
    let key = VerifyingKey::from_bytes(&fixed(case, "public_key")).unwrap();
    let nonce = fixed(case, "nonce");
    let challenge = Challenge { nonce: &nonce, audience: text(case, "audience") };
    let signature = fixed(case, "signature");
    let account = || AccountId::new(fixed(case, "account"));
    let verdict = match text(case, "kind") {
        "device" => verify_device_sign_in(
            &key,
            &account(),
            &DeviceId::new(fixed(case, "device")),
            challenge,
            &signature,
        ),
        "recovery" => verify_recovery_sign_in(&key, challenge, &signature),
        _ => {
            let action = match text(case, "verb") {
                "delete-account" => IdentityAction::DeleteAccount,
                _ => IdentityAction::BlockDevice(DeviceId::new(fixed(case, "subject"))),
            };
            verify_identity_request(&key, &account(), &action, challenge, &signature)
        }
    };
    verdict.map(|()| json!({})).map_err(|_| "bad_signature")
}

fn challenges() -> Vec<Case> {
    let anna = Person::new(38, 1);
    let challenge = Challenge { nonce: &[5; 32], audience: "https://sync.example.org" };
    let (account, device) = (anna.account(), &anna.devices[0]);
    let base = |kind: &str, key: &VerifyingKey, signature: &[u8]| {
        json!({
            "kind": kind,
            "public_key": hex(key.as_bytes()),
            "nonce": hex(&[5; 32]),
            "audience": challenge.audience,
            "signature": hex(signature),
        })
    };
    let mut signed_in = base("device", &device.public().signing, &device.sign_in(&account, challenge));
    signed_in["account"] = account.to_string().into();
    signed_in["device"] = device.id().to_string().into();
    let code = RecoveryCode::from_bytes_for_tests([8; 20]).sign_in_secret();
    let recovered = base("recovery", &code.public(), &code.sign_in(challenge));
    let request = |action: &IdentityAction, verb: &str, subject: String| {
        let signature = anna.identity.sign_request(&account, action, challenge);
        let mut case = base("identity", &anna.identity.public(), &signature);
        case["account"] = account.to_string().into();
        case["verb"] = verb.into();
        case["subject"] = subject.into();
        case
    };
    let delete = request(&IdentityAction::DeleteAccount, "delete-account", String::new());
    let block = request(&IdentityAction::BlockDevice(device.id()), "block-device", device.id().to_string());
    let as_delete = with(&with(&block, "verb", "delete-account"), "subject", "");
    vec![
        case("a device signs in", "ok", signed_in.clone()),
        case("a recovery code signs in", "ok", recovered.clone()),
        case("delete the account", "ok", delete.clone()),
        case("block a device", "ok", block.clone()),
        flipped(&signed_in, "nonce", 0, "bad_signature"),
        flipped(&signed_in, "account", 0, "bad_signature"),
        flipped(&signed_in, "device", 0, "bad_signature"),
        flipped(&signed_in, "signature", 0, "bad_signature"),
        case("another audience", "bad_signature", with(&signed_in, "audience", "https://evil.example.org")),
        flipped(&recovered, "nonce", 0, "bad_signature"),
        case(
            "a device's signature as a code's",
            "bad_signature",
            with(&recovered, "signature", text(&signed_in, "signature")),
        ),
        flipped(&block, "subject", 0, "bad_signature"),
        case("a block as a deletion", "bad_signature", as_delete),
        flipped(&delete, "account", 0, "bad_signature"),
    ]
}

fn judge_enrolment(case: &Value) -> Verdict {
    let class = |error: EnrolmentError| match error {
        EnrolmentError::Malformed(error) => decode_class(error),
        EnrolmentError::NotScanned => "not_scanned",
        EnrolmentError::State(error) => state_class(error),
        EnrolmentError::NotEnrolled => "not_enrolled",
        _ => "wrong_key",
    };
    let invitation = Invitation::parse(&bytes(case, "code")).map_err(class)?;
    if text(case, "kind") == "request" {
        let ephemeral = ReceivingSecret::from_bytes(fixed(case, "ephemeral_secret"));
        let keys =
            Inviting::for_vectors(invitation, ephemeral).accept(&bytes(case, "request")).map_err(class)?;
        return Ok(json!({
            "device_signing_key": hex(keys.signing.as_bytes()),
            "device_receiving_key": hex(&keys.receiving.0),
        }));
    }
    let parse = |field| SignedState::parse(&bytes(case, field)).map_err(state_class);
    let joining = Joining::for_vectors(invitation, device_of(case));
    let (device, ..) = joining.finish(parse("scanned")?, parse("enrolled")?).map_err(class)?;
    Ok(json!({ "device": device.id().to_string() }))
}

fn enrolments() -> Vec<Case> {
    let mut anna = Person::new(39, 1);
    let rng = &mut CounterRng::new(40);
    let inviting = Inviting::start(anna.state(), 5, Head::new([5; 32]), rng);
    let code = inviting.code();
    let exposed = DeviceSecret::make(rng).expose();
    let new = || DeviceSecret::from_bytes(&exposed);
    let invitation = Invitation::parse(&code).unwrap();
    let (request, _) = invitation.join(new(), &inviting.ephemeral_key(), rng).unwrap();
    let asked = json!({
        "kind": "request",
        "code": hex(&code),
        "ephemeral_secret": hex(inviting.ephemeral_for_vectors().expose()),
        "request": hex(&request),
    });
    let other = Inviting::start(anna.state(), 5, Head::new([5; 32]), rng);
    let elsewhere = Invitation::parse(&other.code()).unwrap();
    let (foreign, _) = elsewhere.join(new(), &other.ephemeral_key(), rng).unwrap();
    let publish = |devices: Vec<_>| {
        let mut next = anna.state().draft_next();
        next.devices.extend(devices);
        hex(next.sign_after(anna.state(), &anna.identity, None).unwrap().as_bytes())
    };
    let finished = json!({
        "kind": "finish",
        "code": hex(&code),
        "device_signing_seed": hex(&exposed[..32]),
        "device_receiving_secret": hex(&exposed[32..]),
        "scanned": hex(anna.state().as_bytes()),
        "enrolled": publish(vec![listed(&new())]),
    });
    let alone = publish(vec![]);
    let two = publish(vec![listed(&new()), listed(&DeviceSecret::make(rng))]);
    let theirs = hex(Person::new(41, 1).state().as_bytes());
    anna.publish(|state| state.minimum_protocol = 2);
    let later = hex(anna.state().as_bytes());
    vec![
        case("a request", "ok", asked.clone()),
        flipped(&asked, "request", 1, "not_scanned"),
        flipped(&asked, "request", -1, "not_scanned"),
        case("a request for another code", "not_scanned", with(&asked, "request", hex(&foreign))),
        flipped(&asked, "ephemeral_secret", 8, "not_scanned"),
        flipped(&asked, "code", 55, "not_scanned"),
        case("enrolled", "ok", finished.clone()),
        case("a state that adds nobody", "not_enrolled", with(&finished, "enrolled", alone)),
        case("a state that adds two", "not_enrolled", with(&finished, "enrolled", two)),
        case(
            "the scanned state again",
            "not_successor",
            with(&finished, "enrolled", text(&finished, "scanned")),
        ),
        case("another account's state", "not_successor", with(&finished, "scanned", theirs)),
        case("a later state as the scanned one", "not_successor", with(&finished, "scanned", later)),
        flipped(&finished, "enrolled", -2, "bad_signature"),
    ]
}
