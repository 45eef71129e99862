package siprec

// Limits of what is read from the wire. They are far above what any known SRC sends and far below what could hurt: a whole
// recording session with every limit reached fits in a few megabytes. What is over one of them is a *Refusal of kind
// Malformed whose reason names the limit.
const (
	// MaxBodyBytes bounds the body of one SIP request.
	MaxBodyBytes = 512 << 10
	// MaxParts bounds the parts of a multipart body, those of nested multiparts included.
	MaxParts = 32
	// MaxMultipartDepth bounds multiparts inside multiparts; the outermost one counts.
	MaxMultipartDepth = 4
	// MaxPartHeaders bounds the header lines of one part.
	MaxPartHeaders = 32

	// MaxSDPBytes bounds a session description.
	MaxSDPBytes = 64 << 10
	// MaxMedia bounds the m-lines of a session description.
	MaxMedia = 32
	// MaxFormats bounds the formats of one m-line.
	MaxFormats = 64
	// MaxLabelBytes bounds a=label, and the other words of an m-line.
	MaxLabelBytes = 256

	// MaxContents bounds the words of a=content; what comes after is passed over.
	MaxContents = 8

	// MaxCrypto bounds the a=crypto lines that are kept of one m-line; what comes after is passed over. So it is with the next
	// two, of which a level has as many.
	MaxCrypto = 32
	// MaxFingerprints bounds the certificates' fingerprints.
	MaxFingerprints = 8
	// MaxCryptoBytes bounds one a=crypto line that is usable.
	MaxCryptoBytes = 4096
	// MaxCryptoKeys bounds the keys of one a=crypto line.
	MaxCryptoKeys = 8
	// MaxMKIBytes bounds a master key identifier (RFC 4568 section 6.1).
	MaxMKIBytes = 128
	// MaxMKIDigits bounds how it is written: 2^1024 has 309 digits.
	MaxMKIDigits = 309

	// MaxMetadataBytes bounds a recording metadata document.
	MaxMetadataBytes = 256 << 10
	// MaxXMLDepth bounds elements inside elements; the root counts.
	MaxXMLDepth = 32
	// MaxXMLElements bounds the elements of a document.
	MaxXMLElements = 8192
	// MaxXMLAttributes bounds the attributes of one element, namespace declarations included.
	MaxXMLAttributes = 64
	// MaxTextBytes bounds the text of one element or attribute. The longest value known is 2,048 bytes (a copied header field).
	MaxTextBytes = 16 << 10

	// MaxParticipants bounds the participants of a document, and those that a recording session ever had.
	MaxParticipants = 256
	// MaxStreams bounds the media streams of a document, and those that a recording session ever had.
	MaxStreams = 256
	// MaxSessions bounds the communication sessions of a document, and likewise its groups; also those ever known.
	MaxSessions = 256
	// MaxSIPSessionIDs bounds the SIP session identifiers of one communication session.
	MaxSIPSessionIDs = 64
	// MaxHeaderIDs bounds the identifiers that are taken from header fields.
	MaxHeaderIDs = 64
	// MaxIDBytes bounds one of them; the rest is cut off.
	MaxIDBytes = 512
	// MaxReasons bounds the reasons of one communication session.
	MaxReasons = 16
	// MaxFeatures bounds the features of one association of a participant with a session; a recording session remembers as many as
	// it has associations.
	MaxFeatures = 64
	// MaxNames bounds the identities of one participant, the former ones included.
	MaxNames = 32
	// MaxAssociations bounds the association elements of each kind in a document, and the stream references in one of them.
	MaxAssociations = 1024
	// MaxExtensions bounds the extension values that a recording session remembers; the oldest go first.
	MaxExtensions = 4096
	// MaxPresences bounds the presences of a recording session; further changes are dropped with WarnTooMany.
	MaxPresences = 8192
)
