//! passwd(5), group(5), shadow(5) and the few lines of login.defs(5) that say what accounts are.

/// An account.
#[derive(Debug, Clone)]
pub struct Passwd {
    pub name: String,
    pub password: String,
    pub uid: u32,
    pub gid: u32,
    pub home: String,
    pub shell: String,
}

/// A group.
#[derive(Debug, Clone)]
pub struct Group {
    pub name: String,
    pub gid: u32,
    pub members: Vec<String>,
}

/// A password and its dates, in days since 1970.
#[derive(Clone)]
pub struct Shadow {
    pub name: String,
    /// Never printed.
    pub password: String,
    pub changed: Option<i64>,
    pub minimum: Option<i64>,
    pub maximum: Option<i64>,
    pub warning: Option<i64>,
    pub inactive: Option<i64>,
}

/// All of them.
pub struct Databases {
    pub passwd: Vec<Passwd>,
    pub group: Vec<Group>,
    pub shadow: Vec<Shadow>,
    pub uid_min: u32,
    pub encrypt_method: String,
}

/// Shells that let nobody in.
const NO_LOGIN: &[&str] =
    &["/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "/usr/bin/false", "/dev/null"];
/// First id of regular accounts where login.defs does not say.
const UID_MIN: u32 = 1000;
/// The overflow account (`nobody`): no system account and no person's.
const NOBODY: u32 = 65_534;

impl Databases {
    /// Lines that are not understood are left out, as the C library does.
    pub fn parse(passwd: &[u8], group: &[u8], shadow: &[u8], login_defs: &[u8]) -> Self {
        let defs = String::from_utf8_lossy(login_defs);
        let setting = |name: &str| {
            let mut values = defs.lines().filter_map(|line| {
                let mut words = line.split_ascii_whitespace();
                (words.next() == Some(name)).then(|| words.next()).flatten().map(str::to_owned)
            });
            values.next_back()
        };
        Self {
            passwd: lines(passwd, Passwd::parse),
            group: lines(group, Group::parse),
            shadow: lines(shadow, Shadow::parse),
            uid_min: setting("UID_MIN").and_then(|value| value.parse().ok()).unwrap_or(UID_MIN),
            encrypt_method: setting("ENCRYPT_METHOD").unwrap_or_default().to_uppercase(),
        }
    }

    pub fn shadow_of(&self, name: &str) -> Option<&Shadow> {
        self.shadow.iter().find(|shadow| shadow.name == name)
    }

    /// Accounts of people: with a regular id, or root, and a shell to log in with.
    pub fn interactive(&self) -> Vec<&Passwd> {
        let person = |user: &&Passwd| user.uid == 0 || (user.uid >= self.uid_min && user.uid != NOBODY);
        self.passwd.iter().filter(person).filter(|user| user.has_login_shell()).collect()
    }
}

impl Passwd {
    fn parse(fields: &[&str]) -> Option<Self> {
        let [name, password, uid, gid, _, home, shell] = fields else { return None };
        let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
        let owned = |text: &&str| (*text).to_owned();
        Some(Self {
            name: owned(name),
            password: owned(password),
            uid,
            gid,
            home: owned(home),
            shell: owned(shell),
        })
    }

    /// An empty shell is `/bin/sh` (passwd(5)).
    pub fn has_login_shell(&self) -> bool {
        !NO_LOGIN.contains(&self.shell.as_str())
    }
}

impl Group {
    fn parse(fields: &[&str]) -> Option<Self> {
        let [name, _, gid, members] = fields else { return None };
        let members = members.split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect();
        Some(Self { name: (*name).to_owned(), gid: gid.parse().ok()?, members })
    }
}

impl Shadow {
    fn parse(fields: &[&str]) -> Option<Self> {
        let [name, password, changed, minimum, maximum, warning, inactive, ..] = fields else { return None };
        let days = |text: &&str| text.parse().ok();
        Some(Self {
            name: (*name).to_owned(),
            password: (*password).to_owned(),
            changed: days(changed),
            minimum: days(minimum),
            maximum: days(maximum),
            warning: days(warning),
            inactive: days(inactive),
        })
    }

    /// Whether somebody could log in with it: a hash, or nothing at all.
    pub fn is_usable(&self) -> bool {
        !self.password.starts_with(['!', '*'])
    }
}

fn lines<T>(bytes: &[u8], parse: fn(&[&str]) -> Option<T>) -> Vec<T> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().filter_map(|line| parse(&line.split(':').collect::<Vec<_>>())).collect()
}
