package policy

import (
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/language"
)

// Digits of an E.164 number: at most 15, and none that a network routes is shorter than 7.
const (
	minE164 = 7
	maxE164 = 15
)

// e164Of gives a number, as ParseAddress does, in E.164 with its +, or "" when it is none: an extension, a service code, or a
// national number where no country is configured. A number that begins with + is believed.
func e164Of(number, country string) string {
	if digits, ok := strings.CutPrefix(number, "+"); ok {
		if len(digits) < minE164 || len(digits) > maxE164 || !allDigits(digits) || digits[0] == '0' {
			return ""
		}
		return number
	}
	if country == "" || len(number) < minE164 || len(number) > maxE164+3 || !allDigits(number) { // 3: a prefix such as 00
		return ""
	}
	n, err := phonenumbers.Parse(number, country)
	if err != nil || !phonenumbers.IsValidNumber(n) {
		return ""
	}
	return phonenumbers.Format(n, phonenumbers.E164)
}

// countryOf gives the ISO 3166 code of the country of a number in E.164, or "".
func countryOf(e164 string) string {
	digits := strings.TrimPrefix(e164, "+")
	for n := 1; n <= 3 && n < len(digits); n++ { // no calling code is the beginning of another
		code, err := strconv.Atoi(digits[:n])
		if err != nil || !knownCallingCode(code) {
			continue
		}
		rest, err := strconv.ParseUint(digits[n:], 10, 64)
		if err != nil {
			return ""
		}
		calling, zeros := int32(code), int32(len(digits[n:])-len(strings.TrimLeft(digits[n:], "0")))
		leading := zeros > 0 // Italy's numbers begin with zeros that belong to them
		region := phonenumbers.GetRegionCodeForNumber(&phonenumbers.PhoneNumber{
			CountryCode: &calling, NationalNumber: &rest, ItalianLeadingZero: &leading, NumberOfLeadingZeros: &zeros})
		if len(region) != 2 || region == unknownRegion { // "001": of no country
			return ""
		}
		return region
	}
	return ""
}

const unknownRegion = "ZZ"

func knownCallingCode(code int) bool {
	return phonenumbers.GetRegionCodeForCountryCode(code) != unknownRegion
}

func knownCountry(country string) bool {
	return len(country) == 2 && phonenumbers.GetCountryCodeForRegion(country) != 0
}

// languageOf gives the ISO 639 code of the language that most speak in a country, or "".
func languageOf(country string) string {
	if country == "" {
		return ""
	}
	base, confidence := language.Make("und-" + country).Base()
	if confidence == language.No {
		return ""
	}
	return base.String()
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
