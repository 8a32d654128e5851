package testenv

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// CompanyUser is one person, with the values as the directory states them.
type CompanyUser struct {
	ID             string // entryUUID
	DN             string // as stated; a server may write the same DN differently
	UID            string // u000042
	CN             string
	GivenName      string
	Surname        string
	DisplayName    string
	Mail           string // u000042@corp.test
	Telephone      string
	Mobile         string
	Title          string
	Department     string // departmentNumber
	EmployeeNumber string
	EmployeeType   string // "Terminated" for one in 33, else "Employee"
	Manager        int    // index of the manager, or -1
}

var (
	givenNames = strings.Fields("Agnieszka Ahmed Åse Beatriz Björg Cédric Charlotte Chiara Daniel Đorđe Elif Émilie " +
		"Fiona Gábor Hannah İbrahim Ingrid Jürgen Kwame Léa Łucja Magnus Mei Nadia Niamh Óscar Priya Raúl Şebnem Siddharth " +
		"Thảo Théo Vanessa Yuki Zuzana 健一 Ольга Νίκος")
	surnames = strings.Fields("Andersen Bąk Baptiste Čapek Chen D'Angelo De-la-Cruz Dvořák Eriksson Ferreira Gonçalves " +
		"Hughes Ibáñez Jansen Kaya Kováč Lefèvre Łukasik Mäkinen McCarthy Müller Nkosi Nguyễn Ó-Briain Öztürk Patel Quiñones " +
		"Rodríguez Schäfer Søndergaard Şahin Tanaka Ugarte Väisänen Weiß Yamamoto Żak 田中 Иванова Παππάς")
	titles = []string{"Accountant", "Architect", "Buyer", "Engineer", "Head of Department", "Lawyer", "Nurse", "Planner", "Technician", "Welder"}
	cities = []string{"Genève", "Kraków", "Málaga", "Osaka", "Oulu", "Paris", "Porto", "Reykjavík", "Tromsø", "Wien"}
)

const (
	departments    = 40 // an organizational unit each
	firstManagers  = 50 // users without a manager
	wideManagement = 5_000
)

// companyUser computes a person from the seed and the index alone.
func companyUser(seed uint64, index int) CompanyUser {
	random := rand.New(rand.NewPCG(companySeed+seed, uint64(index)))
	given, surname := givenNames[random.IntN(len(givenNames))], surnames[random.IntN(len(surnames))]
	person := CompanyUser{
		ID:             companyID(seed, "user", index),
		UID:            fmt.Sprintf("u%06d", index),
		CN:             given + " " + surname,
		GivenName:      given,
		Surname:        surname,
		DisplayName:    given + " " + surname,
		Telephone:      fmt.Sprintf("+41 %08d", 22_000_000+index),
		Mobile:         fmt.Sprintf("+41 %08d", 76_000_000+index),
		Title:          titles[index%len(titles)],
		Department:     fmt.Sprint(index % departments),
		EmployeeNumber: fmt.Sprint(100_000 + index),
		EmployeeType:   "Employee",
		Manager:        -1,
	}
	person.Mail = person.UID + "@corp.test"
	if index%33 == 0 {
		person.EmployeeType = "Terminated"
	}
	switch {
	case index < firstManagers:
	case index < wideManagement:
		person.Manager = index * 7 % firstManagers
	default:
		person.Manager = index / 100
	}
	rdn := "uid=" + person.UID
	if index%97 == 0 { // as Active Directory names people: with a comma, by cn
		person.CN = fmt.Sprintf("%s, %s %d", surname, given, index)
		rdn = "cn=" + escapeRDN(person.CN)
	}
	person.DN = rdn + "," + departmentDN(index%departments)
	return person
}

func departmentDN(number int) string {
	return fmt.Sprintf("ou=dept%02d,ou=people,%s", number, Suffix)
}

// escapeRDN escapes a value for use in a DN (RFC 4514, section 2.4). Values
// here neither begin nor end with a space or a number sign.
func escapeRDN(value string) string { return rdnEscapes.Replace(value) }

var rdnEscapes = strings.NewReplacer(`\`, `\\`, `,`, `\,`, `+`, `\+`, `"`, `\"`, `<`, `\<`, `>`, `\>`, `;`, `\;`, `=`, `\=`)
