//! The table of settings, from which everything else follows: the file, the variables, the sample, the summary.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::values::{self, Parsed};
use super::{Config, ConfigError, Tls};

/// A setting: its key, what it is for, how it is read and shown.
struct Setting {
    key: &'static str,
    about: &'static str,
    read: fn(&mut Draft, &str) -> Parsed<()>,
    show: fn(&Config) -> String,
    /// Whether it may stand in a summary that is sent to others.
    public: bool,
}

/// A configuration while it is read: of two files, one may have come.
#[derive(Default)]
struct Draft {
    config: Config,
    certificate: Option<std::path::PathBuf>,
    key: Option<std::path::PathBuf>,
}

/// Variables that are no settings.
const OTHER_VARIABLES: [&str; 2] = ["ALCOVE_CONFIG", "ALCOVE_SECRETS"];

macro_rules! settings {
    ($($key:literal, $($field:ident).+, $read:path, $public:literal, $about:literal;)*) => {
        &[$(Setting {
            key: $key,
            about: $about,
            read: |draft, text| {
                draft.config.$($field).+ = $read(text)?;
                Ok(())
            },
            show: |config| values::Show::show(&config.$($field).+),
            public: $public,
        },)*
        Setting {
            key: "tls.certificate",
            about: "Certificate chain in PEM, if the server is to speak TLS itself. Read again when it changes.",
            read: |draft, text| {
                draft.certificate = values::optional(text);
                Ok(())
            },
            show: |config| config.tls.as_ref().map(|tls| tls.certificate.display().to_string()).unwrap_or_default(),
            public: false,
        },
        Setting {
            key: "tls.key",
            about: "Its private key in PEM.",
            read: |draft, text| {
                draft.key = values::optional(text);
                Ok(())
            },
            show: |config| config.tls.as_ref().map(|tls| tls.key.display().to_string()).unwrap_or_default(),
            public: false,
        }]
    };
}

const SETTINGS: &[Setting] = settings! {
    "server.listen", server.listen, values::address, false,
        "Address and port to listen on.";
    "server.origins", server.origins, values::origins, false,
        "Origins that clients dial, as https://sync.example.org; with none, only this machine's loopback. A device signs the \
         origin it dialled, so no other server can use its signature here.";
    "server.metrics_listen", server.metrics_listen, values::optional_address, false,
        "Address and port for Prometheus' /metrics; empty: none.";
    "server.trusted_proxies", server.trusted_proxies, values::cidrs, false,
        "Addresses or networks of proxies whose X-Forwarded-For is believed. Nobody else's is.";
    "server.connections_max", server.connections_max, values::positive, true,
        "Connections at most.";
    "server.body_memory_mib", server.body_memory_mib, values::memory, true,
        "Memory for the large bodies that are read at once; more of them wait.";
    "server.request_timeout_s", server.request_timeout_s, values::positive, true,
        "How long one request may take.";
    "server.idle_timeout_s", server.idle_timeout_s, values::positive, true,
        "How long a connection may be idle.";
    "server.shutdown_timeout_s", server.shutdown_timeout_s, values::positive, true,
        "How long requests under way have when the server is told to stop.";
    "database.url", database.url, values::database_url, false,
        "sqlite:PATH, or postgres://USER:PASSWORD@HOST/DATABASE. The variable DATABASE_URL means the same.";
    "database.connections_max", database.connections_max, values::positive, true,
        "Connections to the database at most.";
    "secrets.file", secrets.file, values::path, false,
        "The server's secrets. Made if it is not there; kept apart from the database's backups.";
    "registration.mode", registration.mode, values::registration, true,
        "Who may found an account: open, closed, or invite (then make invitations with `alcove-server invite`).";
    "registration.readmit", registration.readmit, values::boolean, true,
        "Whether accounts that vanished with a restored backup may come back although registration is not open.";
    "quota.bytes", quota.bytes, values::bytes, true,
        "What a new account may store: a number, or as 500MiB, 1GiB.";
    "quota.records", quota.records, values::number, true,
        "How many records a new account may store.";
    "limits.requests_per_minute", limits.requests_per_minute, values::count, true,
        "Requests of one address (IPv6: of one /64). 0, here and below: no limit.";
    "limits.account_requests_per_minute", limits.account_requests_per_minute, values::count, true,
        "Requests of one account.";
    "limits.logins_per_minute", limits.logins_per_minute, values::count, true,
        "Registrations, logins and recoveries of one address.";
    "limits.logins_per_hour", limits.logins_per_hour, values::count, true,
        "Logins under one name. Enrolled devices are not affected.";
    "history.days", history.days, values::days, true,
        "How long commits and the ids of deleted records are kept.";
    "log.format", log.format, values::log_format, true,
        "text or json.";
    "log.level", log.level, values::level, true,
        "error, warn, info or debug.";
};

fn variable(key: &str) -> String {
    format!("ALCOVE_{}", key.replace('.', "_").to_uppercase())
}

impl Config {
    /// Reads settings from the text of a file, if there is one, and from variables.
    ///
    /// # Errors
    /// Every mistake that is in them.
    pub fn load(
        file: Option<&str>,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let mut values = BTreeMap::new();
        read_file(file.unwrap_or_default(), &mut values, &mut errors);
        read_variables(variables, &mut values, &mut errors);
        let mut draft = Draft::default();
        for (key, (place, text)) in values {
            let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else { continue };
            if let Err(problem) = (setting.read)(&mut draft, &text) {
                errors.push(ConfigError { place, problem });
            }
        }
        let Draft { mut config, certificate, key } = draft;
        match (certificate, key) {
            (Some(certificate), Some(key)) => config.tls = Some(Tls { certificate, key }),
            (None, None) => {}
            (missing, _) => {
                let place = if missing.is_none() { "tls.certificate" } else { "tls.key" };
                errors.push(ConfigError {
                    place: place.into(),
                    problem: "is missing: TLS needs both files".into(),
                });
            }
        }
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }

    /// A file with every setting, its meaning and its default.
    #[must_use]
    pub fn sample() -> String {
        let mut out = String::from(
            "# Settings of alcove-server, with their defaults. Each is also a variable: server.listen is ALCOVE_SERVER_LISTEN.\n",
        );
        let defaults = Self::default();
        let mut section = "";
        let mut ordered: Vec<_> = SETTINGS.iter().collect();
        ordered.sort_by_key(|setting| setting.key.split('.').next());
        for setting in ordered {
            let (in_section, name) = setting.key.split_once('.').unwrap_or_default();
            if in_section != section {
                section = in_section;
                writeln!(out, "\n[{section}]").ok();
            }
            writeln!(out, "# {}\n{name} = {}", setting.about, values::toml((setting.show)(&defaults))).ok();
        }
        out
    }

    /// The settings, fit to be sent to others: what names places, people or machines only says whether it is the default.
    #[must_use]
    pub fn redacted(&self) -> Vec<(&'static str, String)> {
        let defaults = Self::default();
        let show = |setting: &Setting| {
            let (value, default) = ((setting.show)(self), (setting.show)(&defaults));
            let value = match (setting.public, value == default) {
                (true, _) | (false, true) => value,
                (false, false) => "(set)".to_owned(),
            };
            (setting.key, value)
        };
        SETTINGS.iter().map(show).chain([("database.kind", self.database.url.kind().to_owned())]).collect()
    }
}

type Values = BTreeMap<String, (String, String)>;

fn read_file(text: &str, values: &mut Values, errors: &mut Vec<ConfigError>) {
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            // As it displays itself it quotes the line, and in that line there may be a password.
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let place = format!("the file, line {}", before.matches('\n').count() + 1);
            return errors.push(ConfigError { place, problem: error.message().to_owned() });
        }
    };
    for (section, content) in table {
        let toml::Value::Table(content) = content else {
            errors.push(unknown(&section));
            continue;
        };
        for (name, value) in content {
            let key = format!("{section}.{name}");
            if SETTINGS.iter().any(|setting| setting.key == key) {
                values.insert(key.clone(), (key, values::flatten(value)));
            } else {
                errors.push(unknown(&key));
            }
        }
    }
}

fn read_variables(
    variables: impl Iterator<Item = (String, String)>,
    values: &mut Values,
    errors: &mut Vec<ConfigError>,
) {
    let (mut url, mut own_url) = (None, None);
    for (name, text) in variables {
        if name == "DATABASE_URL" {
            url = Some(text.clone());
        } else if name == variable("database.url") {
            own_url = Some(text.clone());
        }
        let known = SETTINGS.iter().find(|setting| {
            variable(setting.key) == name || (name == "DATABASE_URL" && setting.key == "database.url")
        });
        match known {
            Some(setting) => drop(values.insert(setting.key.to_owned(), (name, text))),
            None if name.starts_with("ALCOVE_") && !OTHER_VARIABLES.contains(&name.as_str()) => {
                errors.push(unknown(&name));
            }
            None => {}
        }
    }
    if url.is_some() && own_url.is_some() && url != own_url {
        let problem = "says something else than ALCOVE_DATABASE_URL".to_owned();
        errors.push(ConfigError { place: "DATABASE_URL".into(), problem });
    }
}

/// Names the setting that may have been meant.
fn unknown(found: &str) -> ConfigError {
    let as_variable = found.starts_with("ALCOVE_");
    let candidates = SETTINGS
        .iter()
        .map(|setting| if as_variable { variable(setting.key) } else { setting.key.to_owned() });
    let near = candidates.map(|name| (values::distance(&name, found), name)).min();
    let problem = match near {
        Some((distance, name)) if distance <= found.len() / 3 => {
            format!("there is no such setting; did you mean {name}?")
        }
        _ => "there is no such setting".to_owned(),
    };
    ConfigError { place: found.to_owned(), problem }
}
