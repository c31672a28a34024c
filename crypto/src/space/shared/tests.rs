use super::*;
use crate::world::Person;

const SPACE: SpaceId = SpaceId::new([1; 16]);
const SLOT: SlotId = SlotId::new([2; 16]);

fn record(author: &Person, version: u64, replaces: RecordHash, content: Option<&[u8]>) -> SharedRecord {
    SharedRecord {
        authorship: Authorship {
            author: author.account(),
            device: author.devices[0].id(),
            state: author.state().hash(),
            version,
            replaces,
        },
        content: content.map(<[u8]>::to_vec),
    }
}

fn member(person: &Person) -> Member {
    Member { account: person.account(), identity: person.identity.public(), role: Role::Writer }
}

/// A revoked device that signs for the time before its revocation, with a member who commits it.
#[test]
fn a_barred_device_cannot_date_back() {
    let mut anna = Person::new(1, 2);
    let old = anna.state().clone();
    let record = record(&anna, 1, RecordHash::new([0; 32]), Some(b"late"));
    let signed = record.sign(&SPACE, &SLOT, &anna.devices[0]);
    anna.revoke(0);
    let read = || SharedRecord::parse(&SPACE, &SLOT, &signed).unwrap();
    assert_eq!(read().verify(&old, &member(&anna), Some(&old)), Ok(record));
    let refused = Err(SharedRecordError::UnknownAuthor);
    assert_eq!(read().verify(&old, &member(&anna), Some(anna.state())), refused);
    let impostor = Member { identity: Person::new(2, 1).identity.public(), ..member(&anna) };
    assert_eq!(read().verify(&old, &impostor, None), refused);
}

#[test]
fn a_record_is_by_its_author() {
    let (anna, ben) = (Person::new(1, 1), Person::new(2, 1));
    for content in [None, Some(&b""[..]), Some(b"hello")] {
        let record = record(&anna, 1, RecordHash::new([0; 32]), content);
        let signed = record.sign(&SPACE, &SLOT, &anna.devices[0]);
        let read = |space: &SpaceId, slot: &SlotId| SharedRecord::parse(space, slot, &signed).unwrap();
        assert_eq!(read(&SPACE, &SLOT).verify(anna.state(), &member(&anna), None), Ok(record.clone()));
        assert_eq!(
            read(&SPACE, &SLOT).verify(ben.state(), &member(&anna), None),
            Err(SharedRecordError::UnknownAuthor)
        );
        let elsewhere = Err(SharedRecordError::BadSignature);
        assert_eq!(read(&SpaceId::new([9; 16]), &SLOT).verify(anna.state(), &member(&anna), None), elsewhere);
        assert_eq!(read(&SPACE, &SlotId::new([9; 16])).verify(anna.state(), &member(&anna), None), elsewhere);

        let forged = record.sign(&SPACE, &SLOT, &ben.devices[0]);
        assert_eq!(
            SharedRecord::parse(&SPACE, &SLOT, &forged).unwrap().verify(anna.state(), &member(&anna), None),
            elsewhere
        );
        for at in 0..signed.len() {
            let mut altered = signed.clone();
            altered[at] ^= 1;
            let refused = SharedRecord::parse(&SPACE, &SLOT, &altered)
                .map(|read| read.verify(anna.state(), &member(&anna), None));
            assert!(!matches!(refused, Ok(Ok(_))), "byte {at}");
        }
    }
}

#[test]
fn a_revoked_device_signs_nothing() {
    let mut anna = Person::new(1, 2);
    anna.revoke(0);
    let record = record(&anna, 1, RecordHash::new([0; 32]), None);
    let signed = record.sign(&SPACE, &SLOT, &anna.devices[0]);
    let read = SharedRecord::parse(&SPACE, &SLOT, &signed).unwrap();
    assert_eq!(read.verify(anna.state(), &member(&anna), None), Err(SharedRecordError::UnknownAuthor));
}

#[test]
fn roles_and_order_are_kept() {
    use Role::{Admin, Reader, Writer};
    use SharedRecordError::{NotAllowed, Rollback};
    let (anna, ben) = (Person::new(1, 1), Person::new(2, 1));
    let (zero, hash, other) = (RecordHash::new([0; 32]), RecordHash::new([3; 32]), RecordHash::new([4; 32]));
    let old = record(&anna, 2, zero, Some(b"old"));
    let known = Some((&old.authorship, &hash));
    let text = Some(&b"new"[..]);
    let table = [
        ("a writer creates", None, record(&anna, 1, zero, text), Writer, Ok(())),
        ("a reader creates", None, record(&anna, 1, zero, text), Reader, Err(NotAllowed)),
        ("version 0", None, record(&anna, 0, zero, text), Writer, Err(Rollback)),
        ("the first replaces something", None, record(&anna, 1, hash, text), Writer, Err(Rollback)),
        ("first seen later", None, record(&anna, 5, hash, text), Writer, Ok(())),
        ("its author replaces it", known, record(&anna, 3, hash, text), Writer, Ok(())),
        ("its author deletes it", known, record(&anna, 3, hash, None), Writer, Ok(())),
        ("several steps on", known, record(&anna, 7, other, text), Writer, Ok(())),
        ("another branch", known, record(&anna, 3, other, text), Writer, Err(Rollback)),
        ("an older one put back", known, record(&anna, 1, zero, text), Writer, Err(Rollback)),
        ("the same version again", known, record(&anna, 2, zero, text), Writer, Err(Rollback)),
        ("another writer replaces it", known, record(&ben, 3, hash, text), Writer, Err(NotAllowed)),
        ("another writer deletes it", known, record(&ben, 3, hash, None), Writer, Err(NotAllowed)),
        ("an admin deletes it", known, record(&ben, 3, hash, None), Admin, Ok(())),
        ("an admin rewrites it", known, record(&ben, 3, hash, text), Admin, Err(NotAllowed)),
        (
            "a version beyond an admin's reach",
            known,
            record(&anna, LIVE_VERSION_MAX + 1, hash, text),
            Writer,
            Err(NotAllowed),
        ),
        ("a deletion beyond it", known, record(&ben, u64::MAX, hash, None), Admin, Ok(())),
        ("its author, now a reader", known, record(&anna, 3, hash, text), Reader, Err(NotAllowed)),
    ];
    for (what, before, record, role, expected) in table {
        assert_eq!(record.check_after(before, role), expected, "{what}");
    }
}
