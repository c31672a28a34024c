//! The table of verbs, from which the trait and its implementation for each database are made.

/// Every verb, once: how it runs (`look`: one statement; `read`: several that see one moment; `write`: a transaction that is
/// durable when it answers), what it takes, what it gives, and the query that does it.
macro_rules! verbs {
    ($with:ident) => { $with! {
        /// The fingerprint of the secrets that this database belongs to, kept from the first call on.
        write bind_secrets(fingerprint: Vec<u8>) -> Vec<u8> = server::bind_secrets;
        /// The fingerprint that it is bound to, if it is.
        look bound_secrets() -> Option<Vec<u8>> = server::bound_secrets;
        /// Whether the database answers.
        look ping() -> () = server::ping;
        /// Totals for the operator.
        read totals() -> Totals = server::totals;

        /// The account under a name.
        look find_name(name: NameHash) -> Option<AccountId> = names::find;
        /// Reserves a name for an account; repeating it is no error. Gives the account that has it.
        write reserve_name(name: NameHash, account: AccountId, now_s: u64) -> Reservation = names::reserve;
        /// Passes a name from an account that never came to be to another.
        write pass_name(name: NameHash, from: AccountId, to: AccountId, now_s: u64) -> () = names::pass;
        /// Gives a name up, if the account has it.
        write release_name(name: NameHash, account: AccountId) -> () = names::release;
        /// Counts a guess under a name and opens a login, or refuses it.
        write open_login(login: OpenLogin) -> () = names::open_login;
        /// Ends a login; each can be ended once.
        write take_login(name: NameHash, login: LoginId, now_s: u64) -> () = names::take_login;
        /// Forgives the guesses under a name, after one was right.
        write forgive(name: NameHash) -> () = names::forgive;
        /// Names after one whose guesses are all free again.
        look stale_guesses(after: NameHash, now_s: u64) -> Vec<NameHash> = names::guessed;
        /// Drops the guesses and logins under a name that are of no more use.
        write forget_guesses(name: NameHash, now_s: u64) -> () = names::forget;

        /// Ties a recovery key to an account; repeating it is no error.
        write claim_recovery_key(key: [u8; 32], account: AccountId) -> () = recovery::claim;
        /// The account that a recovery key may belong to; its credentials decide.
        look find_recovery_key(key: [u8; 32]) -> Option<AccountId> = recovery::find;
        /// Unties a recovery key.
        write drop_recovery_key(key: [u8; 32], account: AccountId) -> () = recovery::drop_key;

        /// Makes an invitation.
        write make_invite(invite: InviteHash, uses_max: u32, expires_day: u32) -> () = invites::make;
        /// Whether an invitation is good.
        read check_invite(invite: InviteHash, today: u32) -> () = invites::check;
        /// Uses an invitation for an account; repeating it is no error.
        write use_invite(invite: InviteHash, account: AccountId, today: u32) -> () = invites::use_one;
        /// Invitations that have expired.
        look expired_invites(today: u32) -> Vec<InviteHash> = invites::expired;
        /// Drops an invitation.
        write drop_invite(invite: InviteHash) -> () = invites::drop_one;

        /// Founds an account. An equal one is no error.
        write create_account(account: Arc<NewAccount>) -> () = accounts::create;
        /// An account's own row.
        look account(account: AccountId) -> Option<AccountRow> = accounts::find;
        /// Whether an account was deleted, and if so, whether it is swept.
        look tombstone(account: AccountId) -> Option<bool> = accounts::tombstone;
        /// Signed states after a version, oldest first, at most so many.
        look states(account: AccountId, after: u64, count_max: usize) -> Vec<Vec<u8>> = accounts::states;
        /// The newest signed state.
        look newest_state(account: AccountId) -> Option<Vec<u8>> = accounts::newest_state;
        /// The credential sets, oldest first: one, or two while a change waits.
        look credentials(account: AccountId) -> Vec<StoredCredentials> = accounts::credentials;
        /// Takes the states that follow, by compare-and-swap on the version.
        write publish(publication: Arc<Publication>) -> bool = accounts::publish;
        /// Drops all credentials but those of this version. Gives the recovery keys' owners' sets that went.
        write confirm_credentials(account: AccountId, version: u64, hour: u32) -> Vec<StoredCredentials> = accounts::confirm;
        /// The grants for a device.
        look grants(account: AccountId, device: DeviceId) -> Vec<StoredGrant> = accounts::grants;
        /// Every grant of an account.
        look all_grants(account: AccountId) -> Vec<StoredGrant> = accounts::all_grants;
        /// The spaces of an account.
        look account_spaces(account: AccountId) -> Vec<SpaceId> = accounts::spaces;
        /// Notes that an account has a space.
        write add_account_space(account: AccountId, space: SpaceId) -> () = accounts::add_space;
        /// Accounts after one, for the operator.
        look list_accounts(after: AccountId, count_max: usize) -> Vec<AccountRow> = accounts::list;
        /// Changes an account's quota.
        write set_quota(account: AccountId, bytes: u64, records: u64) -> () = accounts::set_quota;
        /// Kills an account: from now on everybody is refused.
        write delete_account(account: AccountId, day: u32) -> () = accounts::delete;
        /// Removes what is left of a dead account, once its spaces are gone.
        write bury_account(account: AccountId) -> () = accounts::bury;
        /// Dead accounts that are not swept yet.
        look dead_accounts() -> Vec<AccountId> = accounts::dead;

        /// A device, as each request looks it up.
        look device(account: AccountId, device: DeviceId) -> Option<DeviceRow> = devices::find;
        /// Uses a nonce, once.
        write use_challenge(account: AccountId, nonce: [u8; 32], now_s: u64, expires_s: u64) -> () = devices::use_challenge;
        /// Notes a sign-in; the first of a day is logged.
        write note_sign_in(account: AccountId, device: DeviceId, hour: u32) -> () = devices::note_sign_in;
        /// Refuses a device from now on.
        write block_device(account: AccountId, device: DeviceId, hour: u32) -> () = devices::block;
        /// Voids the tokens of a device, or of all.
        write sign_out(account: AccountId, device: Option<DeviceId>) -> () = devices::sign_out;
        /// Writes a line of the security log.
        write log_event(event: Event) -> () = devices::log_event;
        /// The security log, newest first.
        look events(account: AccountId) -> Vec<Event> = devices::events;

        /// Opens a mailbox.
        write open_enrolment(enrolment: NewEnrolment) -> () = enrolments::open;
        /// What lies in a mailbox.
        look enrolment(enrolment: EnrolmentId, now_s: u64) -> Option<EnrolmentRow> = enrolments::find;
        /// Puts the request in, once.
        write ask_enrolment(enrolment: EnrolmentId, request: Vec<u8>, now_s: u64) -> () = enrolments::ask;
        /// Puts the answer in.
        write answer_enrolment(enrolment: EnrolmentId, account: AccountId, states: Vec<u8>, now_s: u64) -> () = enrolments::answer;
        /// Drops mailboxes that have expired.
        write sweep_enrolments(now_s: u64) -> u64 = enrolments::sweep;

        /// Creates a space. Creating it again under the same access is no error.
        write create_space(space: NewSpace) -> SpaceRow = spaces::create;
        /// Where a space is and what it holds.
        look space(space: SpaceId, access: SpaceAccess) -> Option<SpaceRow> = spaces::find;
        /// Changes a space's quota.
        write set_space_quota(space: SpaceId, bytes: u64, records: u64) -> () = spaces::set_quota;
        /// Spaces after one, for sweeping.
        look list_spaces(after: SpaceId, count_max: usize) -> Vec<SpaceRow> = spaces::list;
        /// A page of what changed.
        read pull(from: PullFrom) -> Page = pull::pull;
        /// Forgets commits before a day, some at a time; whether there are more.
        write prune(space: SpaceId, before_day: u32) -> bool = prune::prune;
        /// Locks a space and removes some of it; whether there is more.
        write sweep_space(space: SpaceId) -> bool = prune::sweep;
    } };
}
