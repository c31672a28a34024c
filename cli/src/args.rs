//! What can be asked for. Passwords are never among the arguments: they would stand in the history of the shell.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// A journal for the terminal. It works without an account and without a network; what you write is sealed on disk, and an
/// account keeps your devices in sync without letting the server read a word.
#[derive(Parser)]
#[command(name = "alcove", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Args {
    /// The folder of the journal
    #[arg(long, global = true, env = "ALCOVE_STORE", value_name = "FOLDER")]
    pub(crate) store: Option<PathBuf>,
    /// A file with the keys of the journal, instead of a passphrase
    #[arg(long, global = true, env = "ALCOVE_KEY_FILE", value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Read passwords from a file, a line each, instead of asking; `-` is the standard input
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print only what was asked for
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Begin a journal on this device
    Init,
    /// Write an entry: the text given, or from the standard input, or in your editor
    Write {
        #[command(flatten)]
        entry: EntryArgs,
        /// When it was, if not now: `2026-11-21` or `2026-11-21 08:30`
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
        /// The text
        text: Vec<String>,
    },
    /// List entries, the newest first
    List {
        /// From this day on
        #[arg(long, value_name = "DAY")]
        from: Option<String>,
        /// Up to this day
        #[arg(long, value_name = "DAY")]
        to: Option<String>,
        /// With this tag
        #[arg(long)]
        tag: Option<String>,
        /// At most so many
        #[arg(long, short = 'n', default_value_t = 20)]
        limit: usize,
    },
    /// Show an entry, with what lost against edits on other devices
    Show {
        /// The start of its id
        id: String,
        /// Forget what lost: you have seen it
        #[arg(long)]
        clear_conflicts: bool,
    },
    /// Edit an entry: in your editor, or with what is given
    Edit {
        /// The start of its id
        id: String,
        #[command(flatten)]
        entry: EntryArgs,
        /// The new text
        text: Vec<String>,
    },
    /// Delete an entry
    Delete {
        /// The start of its id
        id: String,
    },
    /// Find entries and moods in which all these words are
    Search {
        /// The words
        #[arg(required = true)]
        words: Vec<String>,
    },
    /// Log a mood, or list moods
    Mood {
        /// How well, from 1 up; without it moods are listed
        score: Option<u8>,
        /// The best score
        #[arg(long, default_value_t = 5)]
        scale: u8,
        /// How strong, from 0 to 100
        #[arg(long)]
        intensity: Option<u8>,
        /// An emotion; can be given more than once
        #[arg(long = "emotion")]
        emotions: Vec<String>,
        /// What brought it about; can be given more than once
        #[arg(long = "trigger")]
        triggers: Vec<String>,
        /// A note
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Found an account; your journal becomes its
    SignUp {
        #[command(flatten)]
        server: ServerArgs,
        /// An invitation, where the server wants one
        #[arg(long)]
        invite: Option<String>,
    },
    /// Log in to your account on this device
    LogIn {
        #[command(flatten)]
        server: ServerArgs,
        #[command(flatten)]
        local: LocalArgs,
    },
    /// Join your account with the code that `alcove devices invite` shows on another device
    Join {
        /// The code; without it you are asked
        code: Option<String>,
        #[command(flatten)]
        local: LocalArgs,
    },
    /// Log out of your account on this device
    LogOut {
        /// Delete the journal from this device too
        #[arg(long)]
        wipe: bool,
    },
    /// Get back in with the recovery code, and set a new password
    Recover {
        #[command(flatten)]
        server: ServerArgs,
        #[command(flatten)]
        local: LocalArgs,
    },
    /// Change the password
    Password {
        /// Log all other devices out
        #[arg(long)]
        log_out_others: bool,
        /// Somebody may have seen password or keys: exchange everything, the recovery code too
        #[arg(long)]
        compromised: bool,
    },
    /// Sync now
    Sync {
        /// After a fork: join the server's history with this one, keeping both
        #[arg(long)]
        merge_fork: bool,
        /// Say that what this device shows is the newest, without being asked
        #[arg(long)]
        confirm: bool,
    },
    /// Keep in sync, and show what changes as it happens
    Watch {
        /// Look for changes every so many seconds
        #[arg(long, default_value_t = 5)]
        every: u64,
    },
    /// Your devices
    Devices {
        #[command(subcommand)]
        command: Option<DevicesCommand>,
    },
    /// Delete your account and all that the server holds of it
    DeleteAccount,
    /// Write everything into a file that anybody can read
    Export {
        /// The form
        #[arg(long, value_enum, default_value_t = Format::Json)]
        format: Format,
        /// The file; without it the standard output
        file: Option<PathBuf>,
    },
    /// Put back what was exported as JSON; what is here already stays as it is
    Import {
        /// The file; `-` is the standard input
        file: PathBuf,
    },
    /// How the journal and its account stand
    Status,
    /// Look for what may be wrong, and say what to do about it
    Doctor {
        /// Write what can be read of a damaged journal into a file, as `export` does
        #[arg(long, value_name = "FILE")]
        rescue: Option<PathBuf>,
    },
    /// A tour: two devices, a server, and what it can see of them
    Demo {
        /// The server
        #[arg(long, default_value = "http://127.0.0.1:8787")]
        server: String,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

#[derive(Subcommand)]
pub(crate) enum DevicesCommand {
    /// List them
    List,
    /// Give this device another name
    Rename {
        /// The name
        name: String,
    },
    /// Revoke a device: it can read nothing that is written from now on
    Revoke {
        /// The start of its id, or its name
        device: String,
    },
    /// Add a device: shows a code for it
    Invite,
}

/// What an entry has beside its text.
#[derive(clap::Args)]
pub(crate) struct EntryArgs {
    /// A title
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// How it felt, in a word
    #[arg(long)]
    pub(crate) mood: Option<String>,
    /// A tag; can be given more than once
    #[arg(long = "tag")]
    pub(crate) tags: Vec<String>,
    /// Where it was
    #[arg(long)]
    pub(crate) place: Option<String>,
}

#[derive(clap::Args)]
pub(crate) struct ServerArgs {
    /// Address of the server
    #[arg(long, env = "ALCOVE_SERVER", default_value = "http://127.0.0.1:8787")]
    pub(crate) server: String,
    /// Your login name; without it you are asked
    pub(crate) name: Option<String>,
}

/// What is to become of what is on this device already.
#[derive(clap::Args)]
pub(crate) struct LocalArgs {
    /// Add what is on this device to the account
    #[arg(long, conflicts_with = "discard")]
    pub(crate) merge: bool,
    /// Delete what is on this device
    #[arg(long)]
    pub(crate) discard: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    /// Everything, and it can be imported
    Json,
    /// The journal, to be read
    Markdown,
}
