//! Goal: a client that makes up requests from the served description finds no answer that the description does not know,
//! and no fault of the server. The client is schemathesis, from PyPI; CI installs it.

use std::process::Command;

use alcove_tests::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_that_the_description_does_not_know() {
    let found = Command::new("schemathesis").arg("--version").output();
    if !found.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "schemathesis is missing, and CI must not do without");
        eprintln!("skipped: schemathesis is not installed (pip install schemathesis)");
        return;
    }
    let mut world = World::each().await.swap_remove(0);
    let (person, device, mut api) = world.somebody("anna").await.unwrap();
    let session = person.log_in(&mut api, false, &mut world.rng).await.unwrap().session.token;
    // Signing out would end the session that the next requests need.
    for (token, excluded) in [(device.token.unwrap(), "sign.out"), (session, "confirm|sign.out")] {
        let origin = world.nodes[0].origin();
        let run = tokio::task::spawn_blocking(move || {
            Command::new("schemathesis")
                .args(["run", &format!("{origin}/openapi.json"), "--url", &origin])
                .args([
                    "--header",
                    &format!("Authorization: Bearer {token}"),
                    "--header",
                    "Accept: application/json",
                ])
                .args(["--exclude-path-regex", excluded, "--max-examples", "25", "--seed", "1", "--no-color"])
                .args(["--phases", "examples,coverage,fuzzing", "--generation-database", "none"])
                .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance"])
                .args(["--checks", "response_headers_conformance,response_schema_conformance"])
                .output()
        });
        let output = run.await.unwrap().unwrap();
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        assert!(text.contains("generated"), "{text}");
    }
}
