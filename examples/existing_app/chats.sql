SELECT chat.person_id AS subject,
       chat.id AS conversation,
       chat.title AS title,
       chatmessage.id AS id,
       chatmessage.role AS role,
       chatmessage.content AS content,
       chatmessage.created_at AS created_at
FROM chatmessage JOIN chat ON chat.id = chatmessage.chat_id
ORDER BY chat.person_id, chat.id, chatmessage.id
