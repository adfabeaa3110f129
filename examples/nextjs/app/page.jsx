import { VerbatimTransport } from "@verbatim/ai-sdk";
import { Client } from "@verbatim/client";
import { Chat } from "./chat.jsx";
import { signedIn, signIn } from "./sign-in.js";

/** A chat is any text: `?chat=order-7`. Each person has chats of their own. */
export default async function Page({ searchParams }) {
  const user = await signedIn();
  if (user === null) {
    return (
      <form action={signIn}>
        <label>
          Name <input name="user" required autoComplete="username" />
        </label>
        <button>Sign in</button>
      </form>
    );
  }
  const { chat = "help" } = await searchParams;
  const { VERBATIM_URL: url, VERBATIM_KEY: key } = process.env;
  const transport = new VerbatimTransport({ client: new Client({ url, key, subject: user }) });
  return <Chat key={chat} id={chat} before={await transport.load(chat)} />;
}
