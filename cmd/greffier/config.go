package main

import "time"

// The comments of the fields below are the manual: `greffier config example` prints them, and the flags' help is their
// first sentence. Every scalar or list field is a key of greffier.yaml (sip.listen), a flag (--sip-listen) and an
// environment variable (GREFFIER_SIP_LISTEN); a flag wins over the environment, the environment over the file.

// A Config is everything that can be set. Its zero value with the defaults below is a recorder for one machine: SQLite,
// a local directory, loopback only.
type Config struct {
	// Directory for what the recorder keeps on this machine: keys, secrets, spool, audit log, catalog, and the local store.
	// It holds the keys of every recording: back it up, and give it to nobody else.
	DataDir string `yaml:"data_dir" default:"greffier-data" placeholder:"DIR"`

	// Policy file: which calls are recorded, why, and for how long.
	// Absent: nothing is recorded.
	Policy string `yaml:"policy" placeholder:"FILE"`

	// Directory file: the users, their numbers and their groups, which policy rules may ask for.
	// Policy and directory are looked at every second, and at SIGHUP: a changed one is taken up without a restart; one that does not
	// load leaves the one before in force, and is logged.
	Directory string `yaml:"directory" placeholder:"FILE"`

	SIP     SIPConfig     `yaml:"sip" embed:"" prefix:"sip-"`
	Media   MediaConfig   `yaml:"media" embed:"" prefix:"media-"`
	Consent ConsentConfig `yaml:"consent" embed:"" prefix:"consent-"`
	HTTP    HTTPConfig    `yaml:"http" embed:"" prefix:"http-"`
	Store   StoreConfig   `yaml:"store" embed:"" prefix:"store-"`
	Spool   SpoolConfig   `yaml:"spool" embed:"" prefix:"spool-"`
	Keys    KeysConfig    `yaml:"keys" embed:"" prefix:"keys-"`
	Verify  VerifyConfig  `yaml:"verify" embed:"" prefix:"verify-"`
	Catalog CatalogConfig `yaml:"catalog" embed:"" prefix:"catalog-"`
	Log     LogConfig     `yaml:"log" embed:"" prefix:"log-"`
}

// A SIPConfig is the side that faces the SBC.
type SIPConfig struct {
	// Listeners, as transport://address:port with transport udp, tcp or tls; port 0 takes a free one.
	// An address that is not loopback needs sources; tls needs tls_cert and tls_key.
	Listen []string `yaml:"listen" default:"udp://127.0.0.1:5060,tcp://127.0.0.1:5060" placeholder:"URL"`

	// PEM file with the certificate chain of the tls listeners, ours first. A new file is taken up within ten seconds, or at once
	// at SIGHUP, and costs no connection; one that is not good leaves the old one in use, and is logged. TLS 1.2 is the least.
	TLSCert string `yaml:"tls_cert" placeholder:"FILE"`

	// PEM file with its private key.
	TLSKey string `yaml:"tls_key" placeholder:"FILE"`

	// PEM file with the authorities of the SRCs' certificates. Set, every client of a tls listener needs a certificate that leads
	// to one of them; absent, no client is asked for any. Revocation lists are not read: take the authority out, or the name.
	TLSClientCA string `yaml:"tls_client_ca" name:"tls-client-ca" placeholder:"FILE"`

	// Address and port that SRCs should use instead of the listener's own, when a NAT stands between, as address:port.
	// With an IPv4 and an IPv6 one, with a comma between, each SRC is given that of its own family; one alone is for all. Over TLS
	// the listener's port stays.
	Advertise string `yaml:"advertise" placeholder:"ADDR:PORT"`

	// Most recording sessions at once; a further one is answered 503.
	MaxSessions int `yaml:"max_sessions" default:"2000"`

	// Realm of digest authentication: what sources with a digest_user are asked for a password for.
	Realm string `yaml:"realm" default:"greffier"`

	// How long running sessions may go on after SIGTERM before they are ended. Storing what they left takes up to half a minute
	// more: give a service manager this long before it kills.
	Drain time.Duration `yaml:"drain" default:"10s"`

	// How long the SRC of a session that brings no media, because it is on hold or not recorded, may say nothing before it is asked
	// whether it is still there. When it is not, the session is ended.
	Probe time.Duration `yaml:"probe" default:"5m"`

	// The SBCs and PBXs that may fork calls to us. Requests from anybody else are answered 403.
	// Without any, only loopback addresses may.
	Sources []SourceConfig `yaml:"sources" kong:"-"`
}

// A SourceConfig is the profile of one SRC.
type SourceConfig struct {
	// Name that stands in decisions, metrics and the audit log.
	Name string `yaml:"name"`

	// Addresses and networks the SRC signals from, as 192.0.2.10 or 192.0.2.0/28. The most exact one wins.
	Addresses []string `yaml:"addresses"`

	// Names of the SRC's certificate, as sbc1.example.com. The SRC is then met over TLS only, by its certificate: its address
	// does not matter, unless addresses are given too; then both must match. Give them where they are fixed: strangers cannot
	// crowd their handshakes out then. Compared with the certificate's alternative names (SIP URIs and DNS names; the common name
	// when there are none), whole, without wildcards (RFC 5922). Needs tls_client_ca.
	TLSNames []string `yaml:"tls_names"`

	// Accept media from addresses that the offer does not name, as some media relays need. Anybody who can reach the ports can
	// then speak into a recording: leave it off unless the network is closed.
	AnyMediaSource bool `yaml:"any_media_source"`

	// SIP header fields that policy rules may read, as X-Queue.
	Headers []string `yaml:"headers"`

	// SIP header fields that hold an identifier of the call, as X-Call-ID: recordings are found by it (--call-id), subject to what
	// their class keeps. They are kept as headers are. Session-ID, Cisco-Guid and User-to-User are understood when headers keeps them.
	ExternalIDs []string `yaml:"external_ids"`

	// Whose calls these are, where several parties share the recorder: a name that recordings are found by (--tenant).
	Tenant string `yaml:"tenant"`

	// Name of the trunk that these calls come by, which policy rules may ask for (trunk).
	Trunk string `yaml:"trunk"`

	// Codecs that may be answered, in the order of preference, as [PCMA, opus]; absent: every one that can be decoded, in the order of
	// the offer. A stream that offers none of them is refused.
	Codecs []string `yaml:"codecs"`

	// Whether media are protected: allowed, as offered; required, clear media are refused; forbidden, SRTP is refused.
	SRTP string `yaml:"srtp" default:"allowed"`

	// Refuse calls that come without recording metadata instead of recording them with a warning.
	RequireMetadata bool `yaml:"require_metadata"`

	// How the SRC is told that a call is not recorded: inactive, its streams are answered inactive and the sound stays where it is;
	// accept, they are accepted and discarded on arrival, for an SRC that drops a call whose streams are not wanted; refuse, the
	// INVITE is answered 603, or, when it carries several calls, the streams of those that are not recorded are refused. Default: inactive.
	Declined string `yaml:"declined"`

	// Never send this SRC a re-INVITE. What changes from our side, a call that is to be recorded after all or a pause, is then said
	// on the wire only when the SRC changes something itself; what must not be recorded is discarded on arrival.
	NoReinvite bool `yaml:"no_reinvite"`

	// Never ask this SRC for its complete metadata.
	NoSnapshots bool `yaml:"no_snapshots"`

	// New sessions a second, above which the answer is 503; absent: 200. Five seconds' worth may come at once.
	MaxRate float64 `yaml:"max_rate"`

	// Recording sessions at once, above which the answer is 503; absent: as many as sip.max_sessions.
	MaxSessions int `yaml:"max_sessions"`

	// User name that the SRC has to prove by digest authentication (RFC 3261, RFC 8760; SHA-256, or MD5). It is asked for with
	// 401 for every request, OPTIONS and those within calls too, as an address can be forged over UDP. Absent: it is not asked.
	DigestUser string `yaml:"digest_user"`

	// File that holds its password, readable by this program only.
	DigestPasswordFile string `yaml:"digest_password_file"`

	// Algorithms that are offered, the one wanted first; absent: SHA-256, then MD5. An SRC that fails because it understands the
	// first only needs [MD5]; one that has SHA-256 is safer with nothing else.
	DigestAlgorithms []string `yaml:"digest_algorithms"`
}

// A MediaConfig is the RTP side.
type MediaConfig struct {
	// Address to receive RTP on and to put into the SDP; absent: the one that the SIP request came to. One of each family may be
	// given, with a comma between.
	Address string `yaml:"address" placeholder:"ADDR"`

	// Address to put into the SDP instead, when a NAT stands between; absent: media.address, or else the one of sip.advertise. One
	// of each family may be given, with a comma between.
	Advertise string `yaml:"advertise" placeholder:"ADDR"`

	// Program that decodes G.729, as contrib/g729 builds one; absent: streams that speak only G.729 are refused. One process per
	// stream runs it.
	G729 string `yaml:"g729" name:"g729" placeholder:"FILE"`

	// Highest sample rate that a recording is kept at, in hertz: 8000, 16000 or 48000. Sound of a higher rate is brought down to it;
	// a recording whose sound comes at a lower one is no larger for it.
	MaxRate int `yaml:"max_rate" default:"48000"`

	// How long a session that is recorded, and not on hold, may bring no packet at all before its SRC is asked whether it is still
	// there. When it is not, the session is ended.
	Silence time.Duration `yaml:"silence" default:"15m"`

	// How long a stream that is to be recorded may bring no packet before log, metrics and audit log say so (media.missing).
	// An SRC that sends nothing while its party is silent needs a longer time.
	Missing time.Duration `yaml:"missing" default:"8s"`

	// Ports for RTP and RTCP, as 20000-29999; 0-0 takes free ones. A stream needs two.
	Ports string `yaml:"ports" default:"20000-29999" placeholder:"LOW-HIGH"`
}

// A ConsentConfig is a customer system that knows what parties have said about being recorded.
type ConsentConfig struct {
	// URL that is asked, once, about each call whose class wants notice or consent, as https://crm.example/consent; http is for a
	// loopback address only. It is sent, by POST, {"recording_id": "...", "class": "...", "parties": [{"id": "p1", "number":
	// "+33140000001", "aor": "sip:...", "internal": false}]}, and answers {"signals": [{"party": "p1", "kind": "consented", "proof":
	// "CRM-42"}]} with kinds informed, consented and objected; nothing known is {"signals": []}. Without an answer that can be
	// understood, nothing is known. Absent: nobody is asked.
	AskURL string `yaml:"ask_url" name:"ask-url" placeholder:"URL"`

	// File with the bearer token that the customer system wants to see, readable by this program only; absent: none is sent.
	AskTokenFile string `yaml:"ask_token_file" placeholder:"FILE"`

	// PEM file with the authority of the customer system's certificate; absent: the system's.
	AskCAFile string `yaml:"ask_ca_file" name:"ask-ca-file" placeholder:"FILE"`

	// How long an answer may take, 10s at most. The call is not delayed by it: until it comes, the class says what is kept (unknown).
	AskDeadline time.Duration `yaml:"ask_deadline" default:"2s"`
}

// An HTTPConfig is the API and the page.
type HTTPConfig struct {
	// Address and port of the API and the page; port 0 takes a free one. An address that is not loopback needs a certificate.
	Listen string `yaml:"listen" default:"127.0.0.1:8080" placeholder:"ADDR:PORT"`

	// PEM file with the certificate chain.
	TLSCert string `yaml:"tls_cert" placeholder:"FILE"`

	// PEM file with the private key.
	TLSKey string `yaml:"tls_key" placeholder:"FILE"`
}

// A StoreConfig says where finished recordings go.
type StoreConfig struct {
	// Kind of store: dir, a local directory whose locks bind this program only, or s3, whose locks bind everybody.
	Type string `yaml:"type" default:"dir" enum:"dir,s3"`

	// Directory of the dir store; absent: store in the data directory.
	Dir string `yaml:"dir" placeholder:"DIR"`

	S3 S3StoreConfig `yaml:"s3" embed:"" prefix:"s3-"`
}

// An S3StoreConfig is an S3 service with object lock.
type S3StoreConfig struct {
	// Address of the service without scheme, as s3.fr-par.scw.cloud or minio.example:9000.
	Endpoint string `yaml:"endpoint" placeholder:"HOST"`

	// Region; absent: the service is asked.
	Region string `yaml:"region"`

	// Bucket. It must exist, with versioning and object lock.
	Bucket string `yaml:"bucket"`

	// Put the bucket into the path instead of the host name, as services without wildcard names need.
	PathStyle bool `yaml:"path_style"`

	// Access key; its secret comes from secret_key_file. Absent: the usual AWS_ and MINIO_ variables, then ~/.aws/credentials.
	AccessKey string `yaml:"access_key"`

	// File that holds the secret key, readable by this program only.
	SecretKeyFile string `yaml:"secret_key_file" placeholder:"FILE"`

	// Access key of the eraser: credentials of their own, with the right to bypass GOVERNANCE retention, which those above must not
	// have. They delete what two persons have erased, and the originals of what is redacted, and are used for nothing else. Absent: the
	// bytes of what is erased stay until their lock ends, unreadable, and what is locked is not redacted.
	EraserAccessKey string `yaml:"eraser_access_key"`

	// File that holds the eraser's secret key, readable by this program only.
	EraserSecretKeyFile string `yaml:"eraser_secret_key_file" placeholder:"FILE"`

	// PEM file with the certificate authority of the service; absent: the system's.
	CAFile string `yaml:"ca_file" placeholder:"FILE"`

	// Talk plain HTTP to the service. For a loopback address only.
	Insecure bool `yaml:"insecure"`

	// Days by which the service may be late with its lifecycle rules, beyond the whole days that every service counts in: Wasabi 2.
	// Recordings without a mandate are hidden so much earlier, to be gone in time.
	LifecycleSlackDays int `yaml:"lifecycle_slack_days" default:"0"`

	// Start although the bucket's lifecycle rules are not what the policy asks for. It is logged, and witnessed.
	AcceptDrift bool `yaml:"accept_drift"`
}

// A SpoolConfig is the encrypted staging area on the local disk.
type SpoolConfig struct {
	// Free bytes below which new calls are answered 503, so that those in progress can end well.
	MinFree uint64 `yaml:"min_free" default:"536870912"`

	// Bytes of recordings that have ended and wait to be stored, above which new calls are answered 503. 0: as many as the disk
	// holds above min_free; a store that is away for a night then costs no call.
	MaxBacklog uint64 `yaml:"max_backlog" default:"0"`

	// Recordings that are finished, sealed and uploaded at the same time.
	Workers int `yaml:"workers" default:"2"`
}

// A KeysConfig says where the keys of recordings lie, and what they are wrapped by. docs/keys.md tells how.
type KeysConfig struct {
	// Where wrapped keys lie: dir, keys in the data directory; bucket, an S3 bucket that several machines may share; or database, a
	// table beside the catalog where catalog.url names a database, else keys.db in the data directory. After a change from dir,
	// `greffier keys move` brings the keys there that were made before; another change needs a copy of all that lies there.
	Store string `yaml:"store" default:"dir" enum:"dir,bucket,database"`

	Bucket KeyBucketConfig `yaml:"bucket" embed:"" prefix:"bucket-"`

	// Key-encryption key: file, which is secrets/kek.age in the data directory, or a service's: hashivault://HOST:PORT/MOUNT/KEY for
	// Vault Transit; awskms://, gcpkms:// or azurekeyvault:// in a program built with the tag cloudkms. After a change,
	// `greffier keys rotate` wraps every key by the new one.
	KEK string `yaml:"kek" default:"file" placeholder:"URL"`

	// Services whose keys wrapped before, and are still needed to read: until `greffier keys status` names them no more.
	Former []string `yaml:"former" placeholder:"URL"`

	// File that holds the token for Vault, readable by this program only. It is read for each request, so an agent may renew it.
	TokenFile string `yaml:"token_file" placeholder:"FILE"`

	// PEM file with the certificate authority of Vault; absent: the system's.
	CAFile string `yaml:"ca_file" placeholder:"FILE"`
}

// A KeyBucketConfig is a bucket for keys on an S3 service.
type KeyBucketConfig struct {
	// Address of the service without scheme, as s3.fr-par.scw.cloud or minio.example:9000.
	Endpoint string `yaml:"endpoint" placeholder:"HOST"`

	// Region; absent: the service is asked.
	Region string `yaml:"region"`

	// Bucket, which must exist and holds nothing else. Its versioning must never have been enabled: else a key that is destroyed would
	// still be there. The server tries, before it writes, whether the service keeps conditional writes.
	Bucket string `yaml:"bucket"`

	// Put the bucket into the path instead of the host name, as services without wildcard names need.
	PathStyle bool `yaml:"path_style"`

	// Access key, which should be another than that of the recordings; its secret comes from secret_key_file. Absent: the usual AWS_
	// and MINIO_ variables, then ~/.aws/credentials.
	AccessKey string `yaml:"access_key"`

	// File that holds the secret key, readable by this program only.
	SecretKeyFile string `yaml:"secret_key_file" placeholder:"FILE"`

	// PEM file with the certificate authority of the service; absent: the system's.
	CAFile string `yaml:"ca_file" placeholder:"FILE"`

	// Talk plain HTTP to the service. For a loopback address only.
	Insecure bool `yaml:"insecure"`
}

// A VerifyConfig is the verification that a server makes of everything it keeps, once a day. docs/verify.md tells what it finds.
type VerifyConfig struct {
	// Time of the day, by the machine's clock and time zone, at which everything is verified, as "03:30", or off. It begins up to twenty
	// minutes later; one that was missed is made soon after the next start. Of the servers that share a catalog one makes it.
	Daily string `yaml:"daily" default:"03:30" placeholder:"HH:MM"`

	// Bytes a second that are read for it at most. While a recording is being finished it waits.
	Rate uint64 `yaml:"rate" default:"10485760"`
}

// A CatalogConfig says where the index of recordings is kept. docs/catalog.md tells how to set up a PostgreSQL server for it.
type CatalogConfig struct {
	// A database on a PostgreSQL server, as postgres://greffier@db.example/greffier?sslrootcert=/etc/greffier/db-ca.pem, of this server
	// alone; absent: the file catalog.sqlite in the data directory. Without sslmode a server that is not on this machine has to prove
	// who it is by its certificate (verify-full). Calls are recorded while it is away.
	URL string `yaml:"url" placeholder:"URL"`

	// File that holds the password, readable by this program only. It is read for each connection, so an agent may renew it.
	PasswordFile string `yaml:"password_file" placeholder:"FILE"`
}

// A LogConfig is the program's own log on standard error. It holds no names, numbers or audio.
type LogConfig struct {
	// Least level that is written: debug, info, warn or error.
	Level string `yaml:"level" default:"info" enum:"debug,info,warn,error"`

	// Form of the lines: text or json.
	Format string `yaml:"format" default:"text" enum:"text,json"`
}
