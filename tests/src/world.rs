//! Where a test of the API runs: on SQLite, on PostgreSQL, and on two nodes of one PostgreSQL in turn.

use alcove_server::config::Config;
use alcove_server::secrets::Secrets;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::client::{Api, Device, Person, Refused};
use crate::server::{Database, TestServer, unlimited};

/// One server or two, and what people need.
pub struct World {
    /// What it is, for messages.
    pub name: &'static str,
    /// The nodes.
    pub nodes: Vec<TestServer>,
    /// Their database.
    pub database: Database,
    /// Randomness that is the same each time.
    pub rng: StdRng,
}

impl World {
    /// One of each, without limits of rate.
    pub async fn each() -> Vec<Self> {
        Self::each_with(&unlimited()).await
    }

    /// One of each, with settings.
    pub async fn each_with(config: &Config) -> Vec<Self> {
        let mut worlds = vec![Self::start("SQLite", Database::sqlite(), 1, config).await];
        for (name, nodes) in [("PostgreSQL", 1), ("two nodes on PostgreSQL", 2)] {
            if let Some(database) = Database::postgres() {
                worlds.push(Self::start(name, database, nodes, config).await);
            }
        }
        worlds
    }

    async fn start(name: &'static str, database: Database, count: usize, config: &Config) -> Self {
        let text = Secrets::make().expect("randomness").to_text();
        let mut nodes = Vec::new();
        // Clients dial one origin; a node knows the other's too, as behind a balancer.
        for _ in 0..count {
            let secrets = Secrets::parse(&text, "test").expect("secrets");
            nodes.push(TestServer::start_with(&database, config.clone(), secrets).await);
        }
        Self { name, nodes, database, rng: StdRng::seed_from_u64(7) }
    }

    /// The origins of its nodes.
    #[must_use]
    pub fn origins(&self) -> Vec<String> {
        self.nodes.iter().map(TestServer::origin).collect()
    }

    /// A client that asks the nodes in turn.
    #[must_use]
    pub fn api(&self) -> Api {
        Api::new(&self.origins())
    }

    /// Moves every node's clock.
    pub fn shift(&self, seconds: i64) {
        for node in &self.nodes {
            node.hands.shift(seconds);
        }
    }

    /// Somebody with an account and a device that is signed in and has its space.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn somebody(&mut self, name: &str) -> Result<(Person, Device, Api), Refused> {
        Person::join(name, &self.origins(), &mut self.rng).await
    }
}
