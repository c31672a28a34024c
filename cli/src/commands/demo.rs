//! The tour: two devices of one person, what each reads, and what the server holds of it.

use alcove_sdk::envelope::Value;
use alcove_sdk::net::Origin;
use alcove_sdk::vault::InMemory;
use alcove_sdk::{Alcove, JournalEntry, LocalData, Mood, Options, Query};
use rand::RngExt as _;
use serde_json::json;

use crate::dates;
use crate::failure::Result;
use crate::out::{Out, Style};

const PASSWORD: &str = "only for this tour";

pub(super) async fn run(server: &str, out: &Out) -> Result {
    Origin::parse(server)?;
    let folder = tempfile::Builder::new().prefix("alcove-demo-").tempdir()?;
    let open = async |name: &str| {
        let options = Options::new(folder.path().join(name), InMemory::default()).device_name(name);
        Alcove::open(options).await
    };
    let (phone, tablet) = (open("phone").await?, open("tablet").await?);
    let name = format!("tour-{:08x}", rand::rng().random::<u32>());
    let toured = tour(server, &name, &phone, &tablet, out).await;
    // Whatever happened, nothing of it stays.
    let deleted = phone.account().delete(PASSWORD).await;
    phone.wipe().await?;
    tablet.wipe().await?;
    folder.close()?;
    toured?;
    deleted?;
    out.note("The account, both devices and everything on the server are gone again.");
    Ok(())
}

async fn tour(server: &str, name: &str, phone: &Alcove, tablet: &Alcove, out: &Out) -> Result {
    let step = |number: u8, text: &str| {
        out.note(format!("\n{} {text}", out.style(Style::Strong, format!("{number}."))));
    };

    step(1, "A journal on a phone. There is no account, and no network is needed.");
    let body = "I walked along the river.\nIt was cold.";
    let id = phone.journal().add(JournalEntry::new(dates::now(), body)).await?;
    phone.moods().add(Mood::new(dates::now(), 4, 5)).await?;
    show(phone, "phone", out).await?;

    step(
        2,
        &format!(
            "An account on {server}: the password never leaves the device, and the server learns no name."
        ),
    );
    phone.account().sign_up(server, name, PASSWORD, None).await?;
    let report = phone.sync().now().await?;
    out.note(format!("   {} records were sent, {} bytes in all.", report.sent, report.bytes));

    step(
        3,
        "A tablet logs in. It says what it shows, and sends nothing before its owner has confirmed that.",
    );
    tablet.account().log_in(server, name, PASSWORD, LocalData::Ask).await?;
    tablet.sync().now().await?;
    if let Some(view) = tablet.account().info().await?.and_then(|info| info.view) {
        let device = view.device_name.unwrap_or_default();
        out.note(format!("   Up to {}, from the {device}.", dates::show_ms(view.time_ms)));
    }
    tablet.account().confirm_view().await?;
    tablet.sync().now().await?;

    step(4, "Both go offline, and change the same entry.");
    phone
        .journal()
        .update(id, |entry| entry.body = "I walked along the wide river.\nIt was cold.".into())
        .await?;
    tablet
        .journal()
        .update(id, |entry| entry.body = "I walked along the river.\nIt was cold, and bright.".into())
        .await?;
    show(phone, "phone", out).await?;
    show(tablet, "tablet", out).await?;

    step(5, "Both sync. Nothing is lost, and nobody is asked which version to keep.");
    phone.sync().now().await?;
    tablet.sync().now().await?;
    phone.sync().now().await?;
    show(phone, "phone", out).await?;
    show(tablet, "tablet", out).await?;

    step(6, "This is what the devices read, and what the server holds of it.");
    server_side(phone, out).await
}

async fn show(alcove: &Alcove, name: &str, out: &Out) -> Result {
    for entry in alcove.journal().list(Query::default()).await? {
        let body = entry.value.body.replace('\n', " / ");
        out.item(&json!({ "device": name, "reads": body }), || {
            format!("   {:8} {}", out.style(Style::Name, format!("{name:7}")), body)
        });
    }
    Ok(())
}

/// Everything that the server gives out on the account, next to what it is.
async fn server_side(phone: &Alcove, out: &Out) -> Result {
    let readable = phone.export().await?;
    for copy in phone.account().server_records().await? {
        let mine = readable.iter().find(|record| record.id == copy.id);
        let text = mine.map_or_else(
            || "(the name of a device, or a key)".to_owned(),
            |record| {
                let body = record.fields.get("body").and_then(Value::as_text).map(str::to_owned);
                let score = record.fields.get("score").and_then(Value::as_integer).map(i128::from);
                body.unwrap_or_else(|| format!("mood {}", score.unwrap_or_default())).replace('\n', " / ")
            },
        );
        // Behind version, salt and commitment: the text as the server has it.
        let head: Vec<_> = copy.bytes.iter().skip(57).take(16).map(|byte| format!("{byte:02x}")).collect();
        let head = head.concat();
        let len = copy.bytes.len();
        out.item(&json!({ "device_reads": text, "server_holds": head, "server_bytes": len }), || {
            let text: String = text.chars().take(44).collect();
            format!("   {text:<46} {} {len} bytes", out.style(Style::Faint, format!("{head}…")))
        });
    }
    Ok(())
}
