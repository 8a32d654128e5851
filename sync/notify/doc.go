// Package notify delivers what people and programs are told outside of the answers to
// requests: mails, and events to webhooks.
//
// The usual path of a mail: what causes a mail queues it in the store, in the transaction of the
// change; the store says so after the commit and [Mailer.Wake] is called; [Mailer.Run]
// claims what is due, a few mails at a time, connects to the [Server], makes the text
// of the record as it is now, and hands mail after mail over.
//
// A mail is sent at most once, however often processes die. It is marked in the store
// after the mail server has taken sender, recipient and text, and before the dot that
// ends the text, which makes the server responsible for it. A process that dies before
// that has sent nothing, and the mail is sent by whoever finds its lease run out. One
// that dies after it, or hears no answer, leaves the mail uncertain: it is not sent
// again, and its Message-ID, which is made of its id, tells in the log of the mail
// server what became of it.
//
// What is refused for now, and whatever ends a connection, is tried again, each time
// after about twice as long, until the mail is three days old; then it is given up and
// never sent late. What is refused for good is a finding with the server's words.
//
// Webhooks are readers of the log: [Webhooks.Run] claims an endpoint for which there is
// something new, reads what comes after its cursor, posts it in order per resource, and
// writes the cursor and what became of each delivery in one transaction. An event is
// delivered at least once, with the same id. To which addresses requests may go is for
// [Reach], which judges every connection.
//
// The package changes no users, groups or runs, keeps no text of a mail, and puts
// nothing that came from outside into a header but an address that was checked and a
// subject without control characters.
package notify
