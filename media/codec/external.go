package codec

func g729Codec(Format, string) (Codec, bool) { return Codec{}, false }
