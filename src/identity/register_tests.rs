#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = Self { folder };
        files.write_clients("[[client]]\nname = \"a\"\nroles = [\"analyst\"]\n");
        files
    }

    fn clients(&self) -> PathBuf {
        self.folder.path().join("clients.toml")
    }

    fn tokens(&self) -> PathBuf {
        token::path_in(self.folder.path())
    }

    /// As an editor does it: another file in its place.
    fn write_clients(&self, text: &str) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, self.clients()).unwrap();
    }

    fn read(&self) -> Register {
        Register::read(self.clients(), self.tokens()).unwrap()
    }
}

const TODAY: Day = Day(20_000);

fn bearer(text: &str) -> String {
    format!("Bearer {text}")
}

async fn who(register: &Register, authorization: &str) -> Result<Who, Denied> {
    register.who(None, Some(authorization.as_bytes()), TODAY).await
}

#[tokio::test]
async fn a_token_lets_its_client_in_until_it_is_revoked() {
    let files = Files::new();
    let (token, text) = Token::make("a", TODAY, None).unwrap();
    token::write(&files.tokens(), std::slice::from_ref(&token)).unwrap();
    let register = files.read();
    for _ in 0..2 {
        let Who::Client(client, _) = who(&register, &bearer(&text)).await.unwrap() else {
            panic!()
        };
        assert_eq!(client.name, "a");
    }
    let known = who(&register, &format!("bEARER  {text} ")).await.unwrap();
    assert!(register.still(&known, TODAY).is_ok());
    // Another secret under the same id, also once the right one was seen.
    let (other, other_text) = Token::make("a", TODAY, None).unwrap();
    let forged = other_text.replace(&other.id, &token.id);
    for wrong in
        [bearer(&forged), bearer(&other_text), text.clone(), "Basic YTpi".into(), "Bearer".into()]
    {
        let denied = who(&register, &wrong).await.unwrap_err();
        assert!(matches!(denied, Denied::Unknown(_)), "{wrong}: {denied:?}");
    }
    assert!(register.who(None, None, TODAY).await.is_err());
    token::write(&files.tokens(), &[other]).unwrap();
    let told = register.reload().unwrap().join("; ");
    assert!(told.contains("added") && told.contains("revoked"), "{told}");
    assert!(who(&register, &bearer(&text)).await.is_err());
    assert!(register.still(&known, TODAY).is_err());
    assert!(who(&register, &bearer(&other_text)).await.is_ok());
    assert_eq!(register.reload().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_token_past_its_day_or_of_nobody_lets_nobody_in() {
    let files = Files::new();
    let (expiring, expiring_text) = Token::make("a", TODAY, Some(TODAY)).unwrap();
    let (of_nobody, nobody_text) = Token::make("b", TODAY, None).unwrap();
    token::write(&files.tokens(), &[expiring, of_nobody]).unwrap();
    let register = files.read();
    let known = who(&register, &bearer(&expiring_text)).await.unwrap();
    let tomorrow = Day(TODAY.0 + 1);
    assert!(register.still(&known, tomorrow).unwrap_err().to_string().contains("counted until"));
    let authorization = bearer(&expiring_text);
    assert!(register.who(None, Some(authorization.as_bytes()), tomorrow).await.is_err());
    let denied = who(&register, &bearer(&nobody_text)).await.unwrap_err();
    assert!(denied.to_string().contains("is that of no client"), "{denied}");
}

#[tokio::test]
async fn a_file_of_no_use_changes_nothing_and_is_told_once() {
    let files = Files::new();
    let (token, text) = Token::make("a", TODAY, None).unwrap();
    token::write(&files.tokens(), &[token]).unwrap();
    let register = files.read();
    who(&register, &bearer(&text)).await.unwrap();
    for (wrong, told) in [("[[client]]\nname = \"a\"\n", "roles"), ("", "has no [[client]]")] {
        files.write_clients(wrong);
        assert!(register.reload().unwrap_err().to_string().contains(told));
    }
    assert_eq!(register.reload().unwrap(), Vec::<String>::new());
    let known = who(&register, &bearer(&text)).await.unwrap();
    files.write_clients("[[client]]\nname = \"a\"\nroles = [\"supervisor\"]\n");
    let told = register.reload().unwrap().join("; ");
    assert!(told.contains("client a: supervisor, was analyst"), "{told}");
    let known_now = register.0.as_ref().unwrap().known.load();
    assert_eq!(known_now.checked.lock().unwrap().len(), 1, "it need not be checked again");
    let Who::Client(client, _) = register.still(&known, TODAY).unwrap() else { panic!() };
    assert_eq!(client.roles_and_eoris(), "supervisor");
    assert!(who(&register, &bearer(&text)).await.is_ok(), "a token stays known by its secret");
}

#[tokio::test]
async fn without_files_anyone_may_do_everything() {
    let register = Register::open();
    let anyone = register.who(None, None, TODAY).await.unwrap();
    assert!(register.is_open() && anyone.may_read_all_summaries().is_ok());
    // But what is anyone there is nobody here.
    assert!(Files::new().read().still(&anyone, TODAY).is_err());
}

#[tokio::test]
async fn wrong_secrets_under_one_id_keep_out_nobody_else() {
    let files = Files::new();
    let (mine, _) = Token::make("a", TODAY, None).unwrap();
    let (other, text) = Token::make("a", TODAY, None).unwrap();
    token::write(&files.tokens(), &[mine.clone(), other.clone()]).unwrap();
    let register = files.read();
    // While one is being checked, and until all that may wait do.
    let forged = bearer(&text.replace(&other.id, &mine.id));
    let held = Arc::clone(&register.0.as_ref().unwrap().checks).acquire_owned().await.unwrap();
    let guesses: Vec<_> = (0..=CHECKS_OF_TOKEN_MAX)
        .map(|_| {
            let (register, forged) = (register.clone(), forged.clone());
            tokio::spawn(async move { who(&register, &forged).await.unwrap_err() })
        })
        .collect();
    tokio::task::yield_now().await;
    let authorization = bearer(&text);
    let known = who(&register, &authorization);
    drop(held);
    assert!(known.await.is_ok());
    let mut denied = Vec::new();
    for guess in guesses {
        denied.push(guess.await.unwrap());
    }
    let busy = denied.iter().filter(|denied| matches!(denied, Denied::Busy(_))).count();
    assert_eq!(busy, 1, "one more than may wait");
}

#[tokio::test]
async fn a_certificate_past_its_end_lets_nobody_in_on_a_connection_from_before() {
    let files = Files::new();
    files.write_clients(
        "[[client]]\nname = \"a\"\nroles = [\"analyst\"]\ncertificates = [{ CN = \"a\" }]\n",
    );
    let register = files.read();
    let subject = toml::from_str("CN = \"a\"").unwrap();
    let now = SystemTime::now();
    let of = |until| Arc::new(Certificate { subject: Clone::clone(&subject), until });
    let hour = std::time::Duration::from_secs(3_600);
    let known = register.who(Some(&of(now + hour)), None, TODAY).await.unwrap();
    assert!(register.still(&known, TODAY).is_ok());
    let Who::Client(client, _) = known else { panic!() };
    let over = of(now - hour);
    let denied = register.who(Some(&over), None, TODAY).await.unwrap_err();
    assert!(denied.to_string().contains("connect with a new one"), "{denied}");
    assert!(register.still(&Who::Client(client, Shown::Certificate(over)), TODAY).is_err());
}
